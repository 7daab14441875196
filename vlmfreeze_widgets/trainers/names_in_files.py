"""For which releases of transformers the module names in an exported file hold, in words."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from .export_request import ExportRequest


def notes_on_names(settings: Mapping[str, Any], wanted: ExportRequest) -> list[str]:
    """What to know of whole paths in a file, which hold for some releases of transformers.

    Args:
        settings: What was chosen for the file.
        wanted: The plan, with what the model is called in the other releases that the trainer takes.
    """
    deep = [path for path in (*wanted.adapted_layers, *wanted.whole_modules) if path.count(".") > 1]
    text = str(settings)

    def written(path: str) -> bool:
        return path in text or path.replace(".", "\\\\.") in text

    if not any(map(written, deep)):
        return []
    both = [n.releases for n in wanted.others if any(n.there(p) != p and written(n.there(p)) for p in deep)]
    if both:
        return [f"Some names differ between releases of transformers; the file has those {both[0]} as well."]
    return [
        f"Module names as in transformers {version('transformers')}; export under the version that will train, some differ."
    ]
