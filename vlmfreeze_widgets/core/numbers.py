"""Numbers in JSON, also those that are not finite. Rows of numbers travel in binary; see ``core.wire.messages``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: float | None) -> Any:  # float, None or {"f": name}
    """A number for JSON; non-finite ones are spelled out, since ipywidgets would make them strings."""
    if value is None or math.isfinite(value):
        return value
    return {"f": "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"}


def read_number(value: Any) -> float | None:  # what ``number`` wrote
    """The inverse of ``number``."""
    return float(value["f"]) if isinstance(value, Mapping) else None if value is None else float(value)
