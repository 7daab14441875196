"""The trait ``advice_state`` (tests/wire/README.md): what was seen to run when memory ran out, from ``core.memory_advice``."""

from __future__ import annotations

from typing import Any

from ..memory_advice import MemoryAdvice
from .messages import VERSION


def advice_state(advice: MemoryAdvice | None) -> dict[str, Any]:
    """The trait ``advice_state``; empty without advice."""
    if advice is None:
        return {}
    return {
        "v": VERSION,
        "rows": advice.rows,
        "accumulation": advice.accumulation,
        "checkpointing": advice.checkpointing,
        "before": advice.before,
    }
