"""What transformers reports after it has filled a model from files: weights are used only where names and tensors match exactly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import BadSource

_SHOWN = 3


def check_loading_report(report: Mapping[str, Any], source: str | Path, written_by: str | None = None) -> None:
    """Refuses weights that did not find their places.

    transformers itself only logs this, and goes on with random numbers in what was missing. Names change between its releases
    (CLIP's towers lost ``vision_model.`` in 5.6.0), so a folder written by one release may be read by another in this way.

    Args:
        report: What ``from_pretrained(..., output_loading_info=True)`` returns beside the model. Names that the model class
            declares as optional are not in it.
        source: The folder or Hub id, as the user gave it.
        written_by: The release of transformers that wrote the folder, where its config says so.

    Raises:
        BadSource: A tensor of the model is in none of the files, a tensor of the files belongs nowhere in the model, or a shape
            differs.
    """
    missing = sorted(report.get("missing_keys", ()))
    unexpected = sorted(report.get("unexpected_keys", ()))
    mismatched = sorted(
        str(entry[0] if isinstance(entry, tuple) else entry) for entry in report.get("mismatched_keys", ())
    )
    if not (missing or unexpected or mismatched):
        return
    import transformers

    faults = []
    if missing:
        faults.append(f"{_tensors(missing)} of the model not in the files (they would hold random numbers)")
    if unexpected:
        faults.append(f"{_tensors(unexpected)} of the files without a place in the model")
    if mismatched:
        faults.append(f"{_tensors(mismatched)} of another shape")
    named = (("missing", missing), ("unexpected", unexpected), ("shape", mismatched))
    names = [f"{word} {_some(keys)}" for word, keys in named if keys]
    writer = f"; written by transformers {written_by}" if written_by else ""
    raise BadSource(
        f"The weights in {source} are not those of its config.json: {', '.join(faults)}.",
        expected="one tensor for every name of the model, and a place for every tensor",
        found=f"{'; '.join(names)} (read by transformers {transformers.__version__}{writer})",
        remedy="Take the files that belong to this config.json, or read them with the release of transformers that wrote them. "
        "To use them as they are, load the model yourself with from_pretrained and give it.",
    )


def _tensors(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) != 1 else ''}"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_SHOWN]) + (" and others" if len(every) > _SHOWN else "")
