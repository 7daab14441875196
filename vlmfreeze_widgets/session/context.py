"""What the parts of a session share: the model, its batches, the settings, one status under one lock, the worker thread, and the
listeners that are notified of changes. Each part is an object in a file beside this one; ``session.session`` puts them together.
"""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import VlmFreezeError, WrongPhase
from ..core.tree.tree import ModuleTree
from ..core.wire.messages import error_to_dict
from ..core.wire.run_state import BUSY, Phase, RunStatus
from ..engine.failures.lost_device import why_lost
from ..engine.settings import BurstSettings
from .obstacle import NO_BATCHES, NO_WEIGHTS, Obstacle, busy, ended, lost_device, not_loaded
from .shown import Change
from .worker import Worker

_WAY_TO = {
    "running": "Start a burst first: bench.run().",
    "paused": "A burst that runs can be paused.",
    "deciding": "Run a burst first, bench.run(), and wait for its result: bench.wait().",
}


class SessionContext:
    """The state that the parts of one session share. ``status`` is replaced, never changed, and only under ``lock``.

    Args:
        tree: Of the model.
        model: A model to train; None for planning alone.
        source: Where its weights can be loaded from; None when they are here, or nowhere.
        batches: Micro-batches; without them nothing can run.
        settings: Of every burst.
        inputs: What else each burst gets, by the argument's name: held-out batches, questions, processor, trackers.

    Attributes:
        run_folder: Each burst writes its run folder below it; None: bursts write nothing.
        listeners: Called with each change, on the thread that made it.
        internal_listeners: The same of the session's own parts; called after the others.
        stop_requested: Set when what runs is to end.
        end_reason: Why the session is over; None while it is open.
        worker: The thread that alone touches the model.
    """

    def __init__(
        self,
        tree: ModuleTree,
        model: Any,  # nn.Module
        source: str | Path | None,
        batches: Iterable[Any] | None,
        settings: BurstSettings,
        inputs: Mapping[str, Any],
    ) -> None:
        self.tree = tree
        self.model = model
        self.source = source
        self.batches = batches
        self.settings = settings
        self.inputs = dict(inputs)
        self.run_folder: Path | None = None
        self.lock = threading.RLock()
        self.status = RunStatus(phase=self.rest, default_steps=settings.steps)
        self.worker = Worker(self.fail)
        self.stop_requested = threading.Event()
        self._error: BaseException | None = None
        self.end_reason: str | None = None
        self.listeners: list[Callable[[Change], None]] = []
        self.internal_listeners: list[Callable[[Change], None]] = []
        self._pid = os.getpid()

    @property
    def rest(self) -> Phase:
        """The phase in which nothing runs and nothing waits for a decision."""
        return "idle" if self.model is not None and self.batches is not None else "plan_only"

    @property
    def is_here(self) -> bool:
        """False in a process that was forked: the threads stayed in the parent."""
        return self._pid == os.getpid()

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls ``listener`` with the name of what changed after each change, on the thread that made it.

        Returns:
            A function that ends the subscription.
        """
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener) if listener in self.listeners else None

    def tell(self, change: Change) -> None:
        """Calls every listener."""
        for listener in (*self.listeners, *self.internal_listeners):
            listener(change)

    @property
    def error(self) -> BaseException | None:
        """What ended the last thing that ran; None where it went well, or nothing ran."""
        with self.lock:
            return self._error if self.status.error is not None else None

    @error.setter
    def error(self, error: BaseException | None) -> None:
        self._error = error

    def set(self, **changes: Any) -> None:  # fields of RunStatus
        """Changes fields of the status and tells the listeners."""
        with self.lock:
            self.status = replace(self.status, **changes)
        self.tell("run")

    def expect(self, phase: str) -> None:
        """Refuses what is possible in one phase only.

        Raises:
            WrongPhase: The session is in another.
        """
        if self.status.phase != phase:
            raise WrongPhase(
                "That is not possible now.",
                expected=f"the phase {phase!r}",
                found=repr(self.status.phase),
                remedy=_WAY_TO.get(phase, "Look at what the session is doing first."),
            )

    def fail(self, error: BaseException, phase: Phase = "failed") -> None:
        """Shows an error in the status and goes to ``phase``."""
        text = "".join(traceback.format_exception(error)) if not isinstance(error, VlmFreezeError) else ""
        # Frames hold tensors; what is shown is text, so let the frames go.
        traceback.clear_frames(error.__traceback__)
        self.error = error
        self.set(phase=phase, error={**error_to_dict(error), "traceback": text}, eta_seconds=None)

    def obstacle(self) -> Obstacle | None:
        """What stands in the way of whatever needs the model and its batches; asked under the lock."""
        phase = self.status.phase
        if self.end_reason is not None:
            return ended(self.end_reason)
        if self.model is not None and (lost := why_lost(self.model)) is not None:
            return lost_device(lost)
        if self.model is None and self.source and phase != "loading":
            return not_loaded(batches_too=self.batches is None)
        if self.model is None and not self.source:
            return NO_WEIGHTS
        if self.batches is None:
            return NO_BATCHES
        return busy(phase) if phase in BUSY else None

    def why_not(self) -> str | None:
        """The reason of ``obstacle`` as the page shows it; None where there is none."""
        with self.lock:
            obstacle = self.obstacle()
            return None if obstacle is None else obstacle.why

    def release(self) -> None:
        """Drops every reference to the model and its batches: the last job of the worker."""
        with self.lock:
            self.model = self.source = self.batches = None
        self.set(phase="plan_only", eta_seconds=None)
