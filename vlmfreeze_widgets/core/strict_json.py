"""JSON in which no key stands twice: readers take the first, the last or both, so such a file has no definite meaning."""

from __future__ import annotations

import json
from typing import Any

from .shorten import shorten


def load_json(text: str) -> Any:  # any JSON value
    """The value of a JSON text.

    Raises:
        ValueError: It is not JSON, or one of its mappings has a key twice.
    """
    return json.loads(text, object_pairs_hook=_mapping)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {shorten(key, 60)!r} stands there twice")
        found[key] = value
    return found
