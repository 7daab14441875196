"""After memory ran out in a session's burst: what was seen to run instead, and running so. Found in
``engine.burst.smaller_batch``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..core.errors import OutOfMemory
from ..core.memory_advice import MemoryAdvice
from ..engine.batches.resize import split_rows
from ..engine.burst.burst import Burst
from .bursting import Bursting
from .obstacle import Obstacle, not_now


class LackingMemory(Bursting):
    """A session that can run again with less memory.

    Attributes:
        advice: What was seen to run after memory ran out in the last burst; None when it did not.
    """

    advice: MemoryAdvice | None = None

    def run_smaller(self) -> int:
        """Runs again as ``advice`` says: smaller micro-batches, as much more accumulation. Later bursts stay so, too.

        Returns:
            The burst's number.

        Raises:
            WrongPhase: Memory did not run out in the last burst, or nothing smaller was seen to run.
            BadBatch: The micro-batches cannot be divided by rows.
        """
        with self._lock:
            advice = self.advice
            obstacle = self._obstacle()
            if advice is None or self._batches is None or obstacle is not None:
                raise not_now(obstacle or Obstacle("no advice after a lack of memory", "Run a burst: bench.run()."))
            self._batches = split_rows(self._batches, advice.rows)
            again = self.settings.checkpointing or advice.checkpointing
            self.settings = replace(self.settings, accumulation=advice.accumulation, checkpointing=again)
            return self.run(self._status.steps or None)

    def _work(self, make: Callable[[], Burst]) -> None:
        self.advice = None
        problem: BaseException | None = None
        try:
            super()._work(make)
            problem = self.result.problem if self.result is not None else None
        except OutOfMemory as error:
            problem = error
            raise
        finally:
            if isinstance(problem, OutOfMemory):
                self.advice = problem.advice
                self._tell("run")
