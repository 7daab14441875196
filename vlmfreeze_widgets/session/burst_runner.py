"""Runs bursts of a session on its worker thread, one at a time: start, pause, stop, and a smaller run after memory ran out. What
other parts do with a burst they say as hooks (``session.burst_hooks``).

Long because what happens on the worker is read beside what asks for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from ..core.errors import OutOfMemory, RestartNeeded, VlmFreezeError
from ..core.history.history import History, StepRecord
from ..core.history.norms import NormLayout
from ..core.memory_advice import MemoryAdvice
from ..core.strategy.plan import Plan
from ..core.wire.messages import error_to_dict
from ..core.wire.run_state import Phase, RunStatus
from ..engine.batches.resize import split_rows
from ..engine.burst.burst import Burst
from ..engine.burst.result import BurstResult
from ..engine.settings import BurstSettings
from .burst_decision import BurstDecision
from .burst_hooks import BurstHooks
from .burst_status import after_step, ended_early, with_columns
from .context import SessionContext
from .obstacle import ADAPTERS_KEPT, Obstacle, not_now
from .strategy_editor import StrategyEditor

_POLL_SECONDS = 0.1  # between two calls of the hooks of a paused burst


class BurstRunner:
    """Runs at most one burst at a time.

    Args:
        context: Of the session.
        editor: Its strategy.
        decision: Takes the result.

    Attributes:
        hooks: What other parts do with each burst, in the order in which they are called.
        advice: What was seen to run after memory ran out in the last burst; None when it did not.
    """

    def __init__(self, context: SessionContext, editor: StrategyEditor, decision: BurstDecision) -> None:
        self._context = context
        self._editor = editor
        self._decision = decision
        self.hooks: tuple[BurstHooks, ...] = ()
        self.advice: MemoryAdvice | None = None
        self._history = History(NormLayout((), (), ()))
        self._burst: Burst | None = None
        self._resumed = threading.Event()
        self._resumed.set()

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

    def obstacle(self) -> Obstacle | None:
        """What stands in the way of a burst; asked under the lock."""
        of_parts = (hooks.obstacle() for hooks in self.hooks)
        if (found := next((o for o in of_parts if o is not None), None)) is not None:
            return found
        if self._decision.carries_adapters:
            return ADAPTERS_KEPT
        refused = (Obstacle(w.message, w.remedy, is_of_plan=True) for w in self._editor.plan.refusals)
        return self._context.obstacle() or next(refused, None)

    def run(self, steps: int | None = None) -> int:
        """Starts a burst on the worker thread and returns at once. An undecided result before it is discarded.

        Returns:
            The burst's number.

        Raises:
            WrongPhase: Nothing can run now; the message says why.
            VlmFreezeError: The settings cannot be meant.
        """
        settings = self._context.settings if steps is None else replace(self._context.settings, steps=steps)
        with self._context.lock:
            obstacle = self.obstacle()
            if obstacle is not None:
                raise not_now(obstacle)
            plan = self._editor.plan
            return self.start(lambda: self.make(plan, settings), settings.steps)

    def run_smaller(self) -> int:
        """Runs again as ``advice`` says: smaller micro-batches, as much more accumulation. Later bursts stay so, too.

        Returns:
            The burst's number.

        Raises:
            WrongPhase: Memory did not run out in the last burst, or nothing smaller was seen to run.
            BadBatch: The micro-batches cannot be divided by rows.
        """
        with self._context.lock:
            advice, obstacle = self.advice, self.obstacle()
            if advice is None or self._context.batches is None or obstacle is not None:
                raise not_now(obstacle or Obstacle("no advice after a lack of memory", "Run a burst: bench.run()."))
            self.follow(advice)
            return self.run(self._context.status.steps or None)

    def follow(self, advice: MemoryAdvice) -> None:
        """Divides the micro-batches and accumulates as much more, from the next burst on; under the lock.

        Raises:
            BadBatch: The micro-batches cannot be divided by rows; nothing is changed.
        """
        context = self._context
        context.batches = split_rows(context.batches or (), advice.rows)
        again = context.settings.checkpointing or advice.checkpointing
        context.settings = replace(context.settings, accumulation=advice.accumulation, checkpointing=again)

    def make(self, plan: Plan, settings: BurstSettings, batches: Iterable[Any] | None = None) -> Burst:
        """A burst that is about to run; on the worker.

        Args:
            plan: What trains.
            settings: Of the burst.
            batches: Micro-batches; None for those of the session.
        """
        context = self._context
        feed = batches if batches is not None else context.batches or ()
        return Burst(
            context.model, plan, feed, settings=settings, run_folder=context.run_folder or False, **context.inputs
        )

    def start(self, make: Callable[[], Burst], steps: int) -> int:
        """Asks the hooks, then has a burst made and run on the worker; under the lock.

        Args:
            make: Makes the burst, on the worker.
            steps: That it will take, for the status; 0 where only the burst knows.

        Returns:
            The burst's number.
        """
        for hooks in self.hooks:
            hooks.starting()
        return self.begin(make, steps)

    def begin(self, make: Callable[[], Burst], steps: int) -> int:
        """Has a burst made and run on the worker, without asking the hooks; under the lock.

        Args:
            make: As of ``start``.
            steps: The same.

        Returns:
            The burst's number.
        """
        context = self._context
        number = context.status.burst + 1
        context.stop_requested.clear()
        self._resumed.set()
        self._decision.clear()
        self.history = History(NormLayout((), (), ()))
        status = RunStatus(phase="preparing", burst=number, steps=steps, default_steps=steps)
        context.status = with_columns(status, self._editor.plan)
        context.worker.post(lambda: self._work(make))
        context.tell("run")
        return number

    def pause(self) -> None:
        """Holds the burst after the step that is being taken.

        Raises:
            WrongPhase: No burst is running.
        """
        with self._context.lock:
            self._context.expect("running")
            self._resumed.clear()
            self._context.set(phase="paused")

    def resume(self) -> None:
        """Goes on after a pause.

        Raises:
            WrongPhase: The burst is not paused.
        """
        with self._context.lock:
            self._context.expect("paused")
            self._context.set(phase="running")
            self._resumed.set()

    def stop(self) -> None:
        """Ends the burst between two micro-batches; asking twice, or when nothing runs, does nothing."""
        with self._context.lock:
            if self._context.status.phase not in ("preparing", "running", "paused", "stopping"):
                return
            self._context.stop_requested.set()
            self._resumed.set()
            if self._burst is not None:
                self._burst.stop()
            self._context.set(phase="stopping")

    def release(self) -> None:
        """Drops the held-out batches; on the worker, at the end of the session."""
        with self._context.lock:
            self._context.inputs = {}

    # What follows is done on the worker.

    def _work(self, make: Callable[[], Burst]) -> None:
        self.advice = None
        try:
            self._run(make)
        except BaseException as error:
            self._ended(error)
            raise
        self._ended(None)

    def _run(self, make: Callable[[], Burst]) -> None:
        burst = make()
        begun = len(burst.history)
        for hooks in self.hooks:
            hooks.made(burst)
        with self._context.lock:
            self._burst = burst
            if self._context.stop_requested.is_set():
                burst.stop()
        try:
            for record in burst:
                self.history = burst.history
                self._step_taken(record, burst)
                self._between(burst)
                while not self._resumed.wait(_POLL_SECONDS):
                    self._between(burst)
        except VlmFreezeError as error:
            # Out of memory at step 40, say: what was learnt in 39 steps is still the user's to keep. Not on a lost device.
            # Of a burst that goes on, what a state holds may never have been put on the model.
            if not burst.history[begun:] or isinstance(error, RestartNeeded):
                raise
        finally:
            burst.close()
            with self._context.lock:
                self._burst = None
                self.history = burst.history
        self._show_result(burst, burst.result())

    def _step_taken(self, record: StepRecord, burst: Burst) -> None:
        for hooks in self.hooks:
            hooks.stepped(record, burst)
        with self._context.lock:
            self._context.status = after_step(self._context.status, record, burst)
        self._context.tell("record")

    def _between(self, burst: Burst) -> None:
        for hooks in self.hooks:
            hooks.between(burst)

    def _show_result(self, burst: Burst, result: BurstResult) -> None:
        self._decision.show(result)
        with self._context.lock:
            taken, problem = result.history.taken, result.problem
            for hooks in self.hooks:
                hooks.over(burst, result)
            self._context.error = problem
            phase: Phase = "deciding" if taken else "idle" if problem is None else "failed"
            for hooks in self.hooks:
                phase = hooks.phase_after(result, phase)
            self._context.set(
                phase=phase, verdicts=result.verdicts, verdict_after=taken, eta_seconds=None,
                message=ended_early(taken, burst.settings.steps, result.stopped_early, problem),
                error=None if problem is None else {**error_to_dict(problem), "traceback": ""},
            )  # fmt: skip

    def _ended(self, error: BaseException | None) -> None:
        result = self._decision.result
        problem = error if error is not None else None if result is None else result.problem
        if isinstance(problem, OutOfMemory):
            self.advice = problem.advice
            self._context.tell("run")
        for hooks in self.hooks:
            hooks.ended(error)
