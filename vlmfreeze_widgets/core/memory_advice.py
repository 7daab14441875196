"""What was seen to run after memory ran out, as a value. Who finds it is ``engine.burst.smaller_batch``, what the page is shown
of it is in ``core.wire.advice_state``.
"""

from __future__ import annotations

from dataclasses import dataclass


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
