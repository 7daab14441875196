"""In which phase a session is, and what everything that touches its model shares: the status, the worker, failing with a way back,
and the end, after which nothing of the model is held.

What is done in the phases is in ``loading``, ``looking`` and ``bursting``; the strategy is in ``desk``.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import VlmFreezeError, WrongPhase
from ..core.history.history import History
from ..core.history.norms import NormLayout
from ..core.language.phrase import say
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from ..core.wire.messages import error_to_dict
from ..core.wire.run_state import BUSY, Phase, RunStatus
from ..engine.failures.lost_device import why_lost
from ..engine.settings import BurstSettings
from .desk import Desk
from .obstacle import NO_BATCHES, NO_WEIGHTS, Obstacle, busy, ended, lost_device, not_loaded
from .worker import Worker

_WAY_TO = {
    "running": "Start a burst first: bench.run().",
    "paused": "A burst that runs can be paused.",
    "deciding": "Run a burst first, bench.run(), and wait for its result: bench.wait().",
}


class Phases(Desk):
    """Holds a model, and one status under the desk's lock.

    Args:
        tree: Of the model.
        strategy: Where to start.
        model: A model to train; None for planning alone.
        source: Where its weights can be loaded from; None when they are here, or nowhere.
        batches: Micro-batches; without them nothing can run.
        settings: Of every burst.
    """

    def __init__(
        self,
        tree: ModuleTree,
        strategy: Strategy,
        model: Any,  # noqa: ANN401 - nn.Module
        source: str | Path | None,
        batches: Iterable[Any] | None,
        settings: BurstSettings,
    ) -> None:
        super().__init__(tree, strategy)
        self._model = model
        self._source = source
        self._batches = batches
        self.settings = settings
        self._history = History(NormLayout((), (), ()))
        self._status = RunStatus(phase=self._rest, default_steps=settings.steps)
        self._worker = Worker(self._fail)
        self._ended: str | None = None
        self._pid = os.getpid()
        self._stop = threading.Event()

    @property
    def history(self) -> History:
        """The records of the present burst."""
        return self._history

    @history.setter
    def history(self, history: History) -> None:
        before, self._history = self._history, history
        if before is not history and not len(before):
            before.successor = history  # who watched the empty one watches this one
            before.tell()

    @property
    def status(self) -> RunStatus:
        """Where the session stands."""
        with self._lock:
            obstacle = self._obstacle()
            return replace(
                self._status, why_not=obstacle.told if obstacle else None, rows=len(self.history), skipped=self.history.skipped,
                can_load=self._source is not None and self._status.phase not in BUSY,
            )  # fmt: skip

    @property
    def phase(self) -> str:
        """The status' phase."""
        return self._status.phase

    @property
    def _can_train(self) -> bool:
        return self._model is not None and self._batches is not None

    @property
    def _rest(self) -> Phase:
        return "idle" if self._can_train else "plan_only"

    def _obstacle(self) -> Obstacle | None:
        """What stands in the way of a burst; asked under the lock."""
        refused = (Obstacle(w.message, w.remedy, is_of_plan=True) for w in self.plan.refusals)
        return self._obstacle_to_any() or next(refused, None)

    def _obstacle_to_any(self) -> Obstacle | None:
        """What stands in the way of whatever needs the model and its batches; asked under the lock."""
        if self._ended is not None:
            return ended(self._ended)
        if self._model is not None and (lost := why_lost(self._model)) is not None:
            return lost_device(lost)
        if self._model is None and self._source and self._status.phase != "loading":
            return not_loaded(batches_too=self._batches is None)
        if self._model is None and not self._source:
            return NO_WEIGHTS
        if self._batches is None:
            return NO_BATCHES
        return busy(self._status.phase) if self._status.phase in BUSY else None

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until nothing runs.

        Returns:
            False when the time was up first.
        """
        return self._worker.wait(timeout)

    @property
    def model(self) -> Any:  # noqa: ANN401 - nn.Module
        """The model that is here; None where there is none, or after the end."""
        return self._model

    @property
    def trains(self) -> Any:  # noqa: ANN401 - nn.Module
        """The model that it may change; None where it can only be planned."""
        return self._model if self._batches is not None else None

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended: it holds no model, and nothing can start."""
        return self._ended is not None

    def let_go(self, why: str | None = None) -> None:
        """Ends the session without waiting: what runs stops between two micro-batches, the model is given back as it was before,
        and nothing of it is held any more. For whoever cannot wait; ``close`` waits.

        Args:
            why: What is said to those who ask for something afterwards.
        """
        if not self._is_here:
            return
        with self._lock:
            if self._ended is not None:
                return
            self._ended = why or say("This session was closed.")
        self._worker.end(self._leave)

    def close(self, timeout: float = 30.0) -> bool:
        """Stops what runs, gives the model back, lets go of it and ends the threads. What was recorded can still be read.

        Args:
            timeout: Seconds to wait for the step that is being taken.

        Returns:
            False when the time was up first; the step ends, and the model is given back, when it can be.
        """
        self.let_go()
        return not self._is_here or self._worker.close(timeout)

    @property
    def _is_here(self) -> bool:
        """False in a process that was forked: the threads stayed in the parent."""
        return self._pid == os.getpid()

    def _leave(self) -> None:
        """The last that the worker does: lets go of the model and of all that leads to it."""
        with self._lock:
            self._model = self._source = self._batches = None
        self._set(phase="plan_only", eta_seconds=None)

    def _set(self, **changes: Any) -> None:  # noqa: ANN401 - fields of RunStatus
        with self._lock:
            self._status = replace(self._status, **changes)
        self._tell("run")

    def _expect(self, phase: str) -> None:
        if self._status.phase != phase:
            raise WrongPhase(
                "That is not possible now.",
                expected=f"the phase {phase!r}",
                found=repr(self._status.phase),
                remedy=_WAY_TO.get(phase, "Look at what the session is doing first."),
            )

    def _fail(self, error: BaseException, phase: Phase = "failed") -> None:
        text = "".join(traceback.format_exception(error)) if not isinstance(error, VlmFreezeError) else ""
        # Frames hold tensors; what is shown is text, so let the frames go.
        traceback.clear_frames(error.__traceback__)
        self._set(phase=phase, error={**error_to_dict(error), "traceback": text}, eta_seconds=None)
