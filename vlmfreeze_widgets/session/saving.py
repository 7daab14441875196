"""A session's burst on the disk and back: the state of one that runs or pauses, the result of one that is over, going on later.

Everything is written below one folder, and only when somebody asks: for one state or result, or, by naming the folder, for a run
folder of every burst (``engine.burst.recorder``). What a state holds is in ``engine.burst.checkpoint``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import BadState, VlmFreezeError, WrongPhase
from ..core.strategy.plan import Plan
from ..core.wire.run_state import BUSY
from ..core.wire.saved_state import Saving as Saved
from ..core.wire.saved_state import Written
from ..engine.burst.burst import Burst
from ..engine.burst.recorder import ENVIRONMENT
from ..engine.burst.result import BurstResult
from ..engine.burst.state_list import list_states
from ..engine.settings import BurstSettings
from .lacking_memory import LackingMemory
from .obstacle import busy, not_now

DEFAULT_FOLDER = "vlmfreeze-runs"
_STATES = "states"


class Saving(LackingMemory):
    """A session whose bursts outlive the kernel.

    Attributes:
        saving: What was written, and what can go on.
        recorded: The run folder of the last burst; None where none is written.
    """

    saving = Saved(DEFAULT_FOLDER)
    recorded: Path | None = None

    def _save_below(self, folder: str | Path | None) -> None:
        folder = folder or os.environ.get(ENVIRONMENT)
        # Who names a folder wants the runs in it; the folder of the default is made by a press of Save only.
        self._record_below: Path | None = Path(folder).absolute() if folder else None
        self._save_asked = threading.Event()
        self._save_there(Path(folder or DEFAULT_FOLDER).absolute())

    def _save_there(self, folder: Path) -> None:
        """States and results go below a folder from now on; those of another are not at hand any more."""
        self._folder = folder
        self.saving = Saved(str(self._folder))

    def save(self) -> None:
        """Saves on the worker thread: the state of a burst that runs or is paused, after the step that is being taken; or the
        result of one that is over and undecided. ``saving.written`` says where it lies.

        Raises:
            WrongPhase: There is neither.
        """
        with self._lock:
            phase, result = self._status.phase, self.result
            if phase in ("running", "paused"):
                self._save_asked.set()
                self._note(waiting=True)
            elif phase == "deciding" and result is not None:
                self._worker.post(lambda: self._save_result(result))
            else:
                raise WrongPhase(
                    "There is nothing to save now.",
                    expected="a burst that runs or is paused, or a result that is undecided",
                    found=f"the phase {phase!r}",
                    remedy="Run a burst, and save before it is decided.",
                )

    def look_for_states(self) -> None:
        """Starts to read, on the worker thread, which states below the folder are whole; ``saving.states`` lists them then.

        Raises:
            WrongPhase: The worker has other things to do.
        """
        with self._lock:
            if self._status.phase in BUSY:
                raise not_now(
                    busy(self._status.phase), "The saved states cannot be read now.", "a session that runs nothing"
                )
            self._worker.post(self._list)

    def resume_from(self, name: str, steps: int | None = None) -> int:
        """Starts a burst that goes on where a state was saved, on the worker thread. The strategy becomes the state's.

        Args:
            name: Of a state that ``saving.states`` lists; nothing else is opened.
            steps: In all, those taken before included; by default as many as were asked for then.

        Returns:
            The burst's number.

        Raises:
            WrongPhase: The model is busy, or there are no batches.
            BadState: No such state is listed, or it has as many steps already.
        """
        with self._lock:
            obstacle = self._obstacle_to_any()
            if obstacle is not None:
                raise not_now(obstacle)
            state = next((s for s in self.saving.states or () if s.name == name), None)
            if state is None or (steps is not None and steps <= state.step):
                raise BadState(
                    "This burst cannot go on.",
                    expected="a state of the list, and more steps than it has",
                    found=repr(name)[:80] if state is None else f"{state.step} steps taken, {steps} asked for",
                    remedy="Look for saved states again, and ask for more steps.",
                )
            return self._start(lambda: self._go_on(name, steps), steps or 0)

    def _go_on(self, name: str, steps: int | None) -> Burst:
        asked: dict[str, Any] = {} if steps is None else {"steps": steps}
        burst = self._recorded(
            Burst.resume(self._folder / _STATES / name, self._model, self._batches or (),
                         run_folder=self._record_below or False, **self._watched, **asked)
        )  # fmt: skip
        self.set_strategy(burst.plan.strategy)
        with self._lock:
            self._name_columns(burst.plan)
            self._set(steps=burst.settings.steps, step=len(burst.history), default_steps=burst.settings.steps)
        return burst

    def _work(self, make: Callable[[], Burst]) -> None:
        try:
            super()._work(make)
        finally:
            if self._save_asked.is_set():  # in a step that was not taken to its end
                self._save_asked.clear()
                self._note()

    def _make(self, plan: Plan, settings: BurstSettings) -> Burst:
        return self._recorded(
            Burst(self._model, plan, self._feed, settings=settings, run_folder=self._record_below or False,
                  **self._watched)
        )  # fmt: skip

    def _recorded(self, burst: Burst) -> Burst:
        # A page goes on where a disk is full.
        burst.recording.is_strict = False
        self.recorded = None
        return burst

    def _between(self, burst: Burst) -> None:
        self.recorded = burst.recording.folder
        if not self._save_asked.is_set():
            return
        self._save_asked.clear()
        try:
            path = burst.save_state(self._folder / _STATES)
        except VlmFreezeError as error:
            # A full disk ends no burst.
            self._note(waiting=False)
            self._fail(error, self._status.phase)
            return
        self._note(Written("state", str(path), len(burst.history)), new_state=True)

    def _save_result(self, result: BurstResult) -> None:
        name = time.strftime("result-%Y%m%d-%H%M%S")
        number = 1
        while (target := self._folder / (name if number == 1 else f"{name}-{number}")).exists():
            number += 1
        try:
            path = result.save(target)
        except VlmFreezeError as error:
            self._fail(error, self._status.phase)
            return
        self._note(Written("result", str(path), result.history.taken))

    def _list(self) -> None:
        self.saving = replace(self.saving, states=tuple(list_states(self._folder / _STATES)))
        self._tell("saved")

    def _note(self, written: Written | None = None, *, waiting: bool = False, new_state: bool = False) -> None:
        """Takes down what was written; a list of states from before a new one is let go."""
        with self._lock:
            known = None if new_state else self.saving.states
            self.saving = replace(self.saving, written=written or self.saving.written, waiting=waiting, states=known)
        self._tell("saved")
