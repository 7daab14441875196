"""After out of memory: which smaller micro-batch runs, found by running it. The full search is ``engine.probe.batch_size``.

It answers while a user waits for the error, so it only halves, which keeps the step the same with more accumulation, and ends
after ``SECONDS``. A size that was not seen to run is never named.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn

from ...core.errors import OutOfMemory, VlmFreezeError
from ...core.memory_advice import MemoryAdvice
from ...core.strategy.plan import Plan
from ..batches.micro_batch import MicroBatch
from ..batches.position import rows_of
from ..batches.repeated_rows import repeat_rows
from ..settings import BurstSettings

if TYPE_CHECKING:
    from .burst import Burst

SECONDS = 20.0
_STEPS = 2  # the optimizer's state is there from the second step on, beside the activations


class SmallerBatch:
    """Tries smaller micro-batches on a model that was restored.

    Args:
        model: Free.
        plan: What trained when memory ran out.
        settings: Of that burst.
        stopped: Whether the user asked to stop.
        burst: The class of that burst.

    Attributes:
        tried: Rows that were tried, in order.
        found: What was seen to run; None until then.
    """

    def __init__(
        self, model: nn.Module, plan: Plan, settings: BurstSettings, stopped: Callable[[], bool], burst: type[Burst]
    ) -> None:
        self._model, self._plan, self._settings, self._stopped, self._burst = model, plan, settings, stopped, burst
        self._until = time.monotonic() + SECONDS
        self.tried: list[int] = []
        self.found: MemoryAdvice | None = None

    def advice(self, batch: MicroBatch) -> str:
        """What the user can do, in a sentence; "" where nothing could be tried.

        Args:
            batch: That did not fit.
        """
        rows = rows_of(batch.tensors)
        try:
            found = self._largest(batch, rows)
            if found:
                self.found = self._as_value(found, rows, self._settings.checkpointing)
                return self._use(found, rows)
            if self._settings.checkpointing or not self._in_time:
                return self._nothing()
            if self._fits(batch, 1, checkpointing=True):
                self.found = self._as_value(1, rows, True)
                return f"One row per micro-batch was just seen to run with checkpointing=True: {self._with(1, rows)}."
            return self._nothing()
        except Exception:
            # Rows of unequal pictures cannot be taken apart, and a user's own model may refuse: that is no news here.
            return ""

    @property
    def _in_time(self) -> bool:
        return time.monotonic() < self._until and not self._stopped()

    def _largest(self, batch: MicroBatch, rows: int) -> int:
        while rows > 1 and self._in_time:
            rows //= 2
            if self._fits(batch, rows):
                return rows
        return 0

    def _fits(self, batch: MicroBatch, rows: int, checkpointing: bool = False) -> bool:
        self.tried.append(rows)
        settings = replace(
            self._settings, steps=_STEPS, verdict_after=_STEPS + 1, accumulation=min(2, self._settings.accumulation + 1),
            proof="fast", seconds=None, cache_features=False, on_out_of_memory="tell",
            checkpointing=checkpointing or self._settings.checkpointing,
        )  # fmt: skip
        trial = self._burst(
            self._model, self._plan, [repeat_rows(batch.tensors, rows)], settings=settings, run_folder=False
        )
        try:
            for _ in trial:
                if self._stopped():
                    break
        except OutOfMemory:
            return False
        finally:
            trial.close()
        if trial.problem is not None and not trial.history.taken:
            raise trial.problem if isinstance(trial.problem, VlmFreezeError) else RuntimeError
        return trial.history.taken > 0

    def _use(self, found: int, rows: int) -> str:
        return f"Micro-batches of {found} rows were just seen to run: {self._with(found, rows)}."

    def _as_value(self, found: int, rows: int, checkpointing: bool | str) -> MemoryAdvice:
        return MemoryAdvice(found, -(-rows * self._settings.accumulation // found), bool(checkpointing), rows)

    def _with(self, found: int, rows: int) -> str:
        wanted = rows * self._settings.accumulation
        accumulation = -(-wanted // found)
        same = "the same" if accumulation * found == wanted else "about the same"
        return f"with accumulation={accumulation} they make {same} step"

    def _nothing(self) -> str:
        if not self.tried:
            return ""
        tried = ", ".join(map(str, dict.fromkeys(self.tried)))
        return (
            f"Fewer rows did not run either ({tried} tried). Use shorter or smaller inputs, LoRA instead of full training, "
            "or optimizer='adamw8bit'."
        )
