"""Checkpoints of a session's bursts: the state of one that runs or is paused, the result of one that is over, resuming later.

Everything is written below one folder, and only on request: for one state or result, or, by naming the folder, for a run
folder of every burst (``engine.burst.recorder``). What a state holds is in ``engine.burst.checkpoint``.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import BadState, VlmFreezeError, WrongPhase
from ..core.shorten import shorten
from ..core.wire.run_state import BUSY
from ..core.wire.saved_state import Saving, Written
from ..engine.burst.burst import Burst
from ..engine.burst.recorder import ENVIRONMENT
from ..engine.burst.result import BurstResult
from ..engine.burst.state_list import list_states
from .burst_decision import BurstDecision
from .burst_hooks import BurstHooks
from .burst_runner import BurstRunner
from .burst_status import with_columns
from .context import SessionContext
from .obstacle import busy, not_now
from .strategy_editor import StrategyEditor

DEFAULT_FOLDER = "vlmfreeze-runs"
_STATES = "states"


class Checkpoints:
    """Saves and resumes the bursts of one session.

    Args:
        context: Of the session; its ``run_folder`` is set.
        editor: Its strategy, which becomes that of a resumed state.
        bursts: Runs them.
        decision: Holds the result that can be saved.
        run_folder: As of a ``Session``.

    Attributes:
        saving: What was written, and what can be resumed.
        recorded: The run folder of the last burst; None where none is written.
        folder: States and results go below it.
    """

    def __init__(
        self,
        context: SessionContext,
        editor: StrategyEditor,
        bursts: BurstRunner,
        decision: BurstDecision,
        run_folder: str | Path | None,
    ) -> None:
        self._context = context
        self._editor = editor
        self._bursts = bursts
        self._decision = decision
        self._save_asked = threading.Event()
        self.recorded: Path | None = None
        named = run_folder or os.environ.get(ENVIRONMENT)
        # Who names a folder wants the runs in it; the folder of the default is made by a press of Save only.
        context.run_folder = Path(named).absolute() if named else None
        self.save_below(Path(named or DEFAULT_FOLDER).absolute())
        self.hooks = BurstHooks(made=self._made, between=self._between, ended=self._ended)

    def save_below(self, folder: Path) -> None:
        """States and results go below a folder from now on; those of another are not listed any more."""
        self.folder = folder
        self.saving = Saving(str(folder))

    def save(self) -> None:
        """Saves on the worker thread: the state of a burst that runs or is paused, after the step that is being taken; or the
        result of one that is over and undecided, or kept, until another begins. ``saving.written`` says where it lies.

        Raises:
            WrongPhase: There is neither.
        """
        with self._context.lock:
            phase, result = self._context.status.phase, self._decision.result
            if phase in ("running", "paused"):
                self._save_asked.set()
                self._note(waiting=True)
            elif result is not None and (phase == "deciding" or (phase == "idle" and result.outcome == "kept")):
                self._context.worker.post(lambda: self._save_result(result))
            else:
                raise WrongPhase(
                    "There is nothing to save now.",
                    expected="a burst that runs or is paused, or a result that is undecided or kept",
                    found=f"the phase {phase!r}",
                    remedy="Run a burst, and save it before it is discarded.",
                )

    def look_for_states(self) -> None:
        """Starts to read, on the worker thread, which states below the folder are whole; ``saving.states`` lists them then.

        Raises:
            WrongPhase: The worker has other things to do.
        """
        with self._context.lock:
            phase = self._context.status.phase
            if phase in BUSY:
                raise not_now(busy(phase), "The saved states cannot be read now.", "a session that runs nothing")
            self._context.worker.post(self._list)

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
        with self._context.lock:
            obstacle = self._context.obstacle()
            if obstacle is not None:
                raise not_now(obstacle)
            state = next((s for s in self.saving.states or () if s.name == name), None)
            if state is None or (steps is not None and steps <= state.step):
                raise BadState(
                    "This burst cannot go on.",
                    expected="a state of the list, and more steps than it has",
                    found=shorten(repr(name), 80) if state is None else f"{state.step} steps taken, {steps} asked for",
                    remedy="Look for saved states again, and ask for more steps.",
                )
            return self._bursts.start(lambda: self._resumed(name, steps), steps or 0)

    # What follows is done on the worker.

    def _resumed(self, name: str, steps: int | None) -> Burst:
        context, own_steps = self._context, dict[str, Any]() if steps is None else {"steps": steps}
        burst = Burst.resume(
            self.folder / _STATES / name, context.model, context.batches or (),
            run_folder=context.run_folder or False, **context.inputs, **own_steps,
        )  # fmt: skip
        self._editor.set_strategy(burst.plan.strategy)
        steps = burst.settings.steps
        with context.lock:
            context.status = with_columns(context.status, burst.plan)
            context.set(steps=steps, step=len(burst.history), default_steps=steps)
        return burst

    def _made(self, burst: Burst) -> None:
        # A page goes on where a disk is full.
        burst.recording.is_strict = False
        self.recorded = None

    def _between(self, burst: Burst) -> None:
        self.recorded = burst.recording.folder
        if not self._save_asked.is_set():
            return
        self._save_asked.clear()
        try:
            path = burst.save_state(self.folder / _STATES)
        except VlmFreezeError as error:
            # A full disk ends no burst.
            self._note(waiting=False)
            self._context.fail(error, self._context.status.phase)
            return
        self._note(Written("state", str(path), len(burst.history)), new_state=True)

    def _ended(self, _: BaseException | None) -> None:
        if self._save_asked.is_set():  # in a step that was not taken to its end
            self._save_asked.clear()
            self._note()

    def _save_result(self, result: BurstResult) -> None:
        name = time.strftime("result-%Y%m%d-%H%M%S")
        number = 1
        while (target := self.folder / (name if number == 1 else f"{name}-{number}")).exists():
            number += 1
        try:
            path = result.save(target)
        except VlmFreezeError as error:
            self._context.fail(error, self._context.status.phase)
            return
        self._note(Written("result", str(path), result.history.taken))

    def _list(self) -> None:
        self.saving = replace(self.saving, states=tuple(list_states(self.folder / _STATES)))
        self._context.tell("saved")

    def _note(self, written: Written | None = None, *, waiting: bool = False, new_state: bool = False) -> None:
        """Takes down what was written; a list of states from before a new one is dropped."""
        with self._context.lock:
            known = None if new_state else self.saving.states
            self.saving = replace(self.saving, written=written or self.saving.written, waiting=waiting, states=known)
        self._context.tell("saved")
