"""What was seen to run after memory ran out, as a value, and what the page is shown of it: the trait ``advice_state``
(tests/wire/README.md). Who finds it is ``engine.smaller_batch``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .protocol import VERSION


@dataclass(frozen=True)
class MemoryAdvice:
    """A way to take the same step in less memory, seen to run.

    Attributes:
        rows: Of a micro-batch.
        accumulation: Micro-batches per step with which it is the same step, or about it.
        checkpointing: Whether activations must be recomputed, too.
        before: Rows of the micro-batch that did not fit.
    """

    rows: int
    accumulation: int
    checkpointing: bool
    before: int


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
