"""The session: the only owner of a live model. Phases, an inbox, one worker thread, undo and redo. No Jupyter inside.

Strategy edits are values and happen at once, on whatever thread asks, under one lock. Whatever touches the model (run, keep)
is put into the inbox and done by the worker alone. Listeners are told *that* something changed, never handed the model.

Long because phases, inbox and worker guard one state under one lock; apart they would have to share it.
"""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

from .core import edits
from .core.edit_history import EditHistory
from .core.errors import VlmFreezeError, WrongPhase
from .core.history import History, StepRecord
from .core.norms import NormLayout
from .core.plan import Plan
from .core.protocol import error_to_dict
from .core.run_status import BUSY, RunStatus
from .core.strategy import Strategy
from .core.tree import ModuleTree
from .engine.burst import Burst
from .engine.read import read_tree
from .engine.result import BurstResult
from .engine.settings import BurstSettings
from .engine.turns import short_turns

Change = Literal["plan", "run", "record"]
_RECENT = 10  # steps that speed and ETA are taken from


class Session:
    """Holds a model, a strategy with its history of edits, and at most one burst at a time.

    Args:
        source: A model to train, or anything that ``read_tree`` reads (then it can only be planned).
        batches: Micro-batches; without them nothing can run.
        strategy: Where to start; by default the projector alone.
        eval_batches: Held-out micro-batches.
        settings: Of every burst; the number of steps can be given at each run.
        lr: Rate of whatever has none in the strategy.

    Raises:
        VlmFreezeError: The source has no tree, or the strategy does not fit it.
    """

    def __init__(
        self,
        source: Any,  # noqa: ANN401 - whatever read_tree reads
        batches: Iterable[Any] | None = None,
        strategy: Strategy | None = None,
        *,
        eval_batches: Iterable[Any] | None = None,
        settings: BurstSettings | None = None,
    ) -> None:
        self.tree: ModuleTree = read_tree(source)
        self._model = source if hasattr(source, "named_parameters") and self.tree.device != "meta" else None
        self._batches = batches
        self._eval_batches = eval_batches
        self.settings = settings or BurstSettings()
        self._lock = threading.RLock()
        if strategy is None:
            strategy = edits.default_strategy(self.tree)
        self._edits = EditHistory(self.tree, strategy if isinstance(strategy, Strategy) else Strategy(strategy))
        self._status = RunStatus(phase="idle" if self._can_train else "plan_only", default_steps=self.settings.steps)
        self._burst: Burst | None = None
        self.result: BurstResult | None = None
        self.history = History(NormLayout((), (), ()))
        self._listeners: list[Callable[[Change], None]] = []
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._resumed = threading.Event()
        self._resumed.set()
        self._settled = threading.Event()
        self._settled.set()

    # --- looking -------------------------------------------------------------------------------------------------

    @property
    def strategy(self) -> Strategy:
        """What is wanted now. Setting it is one undoable edit."""
        return self._edits.strategy

    @strategy.setter
    def strategy(self, strategy: Strategy) -> None:
        self.set_strategy(strategy)

    @property
    def plan(self) -> Plan:
        """The plan of the strategy."""
        return self._edits.plan

    @property
    def rev(self) -> int:
        """Grows with every change of the strategy."""
        return self._edits.rev

    @property
    def status(self) -> RunStatus:
        """Where the session stands."""
        with self._lock:
            return replace(self._status, why_not=self._why_not(), rows=len(self.history), skipped=self.history.skipped)

    @property
    def phase(self) -> str:
        """The status' phase."""
        return self._status.phase

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return self._edits.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to make again."""
        return self._edits.can_redo

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls ``listener`` with "plan", "run" or "record" after each change, on the thread that made it.

        Returns:
            A function that ends the subscription.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self, change: Change) -> None:
        for listener in list(self._listeners):
            listener(change)

    # --- editing the strategy --------------------------------------------------------------------------------------

    def edit(self, change: Callable[[Strategy, ModuleTree], Strategy]) -> int:
        """Makes one undoable edit: ``change`` gives the new strategy from the old one and the tree.

        Returns:
            The new revision.

        Raises:
            VlmFreezeError: The new strategy does not fit the tree; nothing is changed.
        """
        return self._edited(lambda: self._edits.edit(change))

    def set_strategy(self, strategy: Strategy) -> int:
        """Replaces the strategy; see ``edit``."""
        wanted = strategy if isinstance(strategy, Strategy) else Strategy(strategy)
        return self.edit(lambda _, __: wanted)

    def set_tuning(self, targets: Iterable[str], tuning: str) -> int:
        """Sets components or paths to "frozen", "lora", "full" or "inherit"; see ``core.edits``."""
        wanted = [targets] if isinstance(targets, str) else list(targets)
        return self.edit(lambda s, t: edits.set_tuning(s, t, wanted, tuning))

    def undo(self) -> int:
        """Takes the last edit back."""
        return self._edited(self._edits.undo)

    def redo(self) -> int:
        """Makes the last undone edit again."""
        return self._edited(self._edits.redo)

    def reset(self) -> int:
        """Goes back to the strategy that the session started with, as an undoable edit."""
        return self.set_strategy(self._edits.start)

    def _edited(self, change: Callable[[], object]) -> int:
        with self._lock:
            before = self.rev
            change()
            if self.rev != before:
                self._tell("plan")
                self._tell("run")  # why_not may have changed with the plan
            return self.rev

    # --- running ---------------------------------------------------------------------------------------------------

    @property
    def _can_train(self) -> bool:
        return self._model is not None and self._batches is not None

    def _why_not(self) -> str | None:
        if self._model is None:
            return "There are no weights: this tree was read from a config."
        if self._batches is None:
            return "There are no batches: Workbench(model, batches) can run."
        if self._status.phase in BUSY:
            return "A burst is running."
        return next((f"{w.message} {w.remedy}" for w in self.plan.refusals), None)

    def run(self, steps: int | None = None) -> int:
        """Starts a burst on the worker thread and returns at once. An undecided result before it is discarded.

        Returns:
            The burst's number.

        Raises:
            WrongPhase: Nothing can run now; the message says why.
            VlmFreezeError: The settings cannot be meant.
        """
        settings = self.settings if steps is None else replace(self.settings, steps=steps)
        with self._lock:
            why = self._why_not()
            if why is not None:
                raise WrongPhase(
                    "No burst can start now.",
                    expected="a plan that trains and a free model",
                    found=why,
                    remedy="Change that first.",
                )
            number = self._status.burst + 1
            self._stop.clear()
            self._resumed.set()
            self._settled.clear()
            self.result = None
            self.history = History(NormLayout((), (), ()))
            columns = tuple(dict.fromkeys(g.component for g in self.plan.optimizer_groups))
            rates = {g.component: g.lr for g in self.plan.optimizer_groups}
            self._status = RunStatus(
                phase="preparing", burst=number, steps=settings.steps, lr_columns=columns, norm_columns=columns,
                rates=rates, default_steps=settings.steps,
            )  # fmt: skip
            plan = self.plan
            self._post(lambda: self._work(plan, settings))
        self._tell("run")
        return number

    def pause(self) -> None:
        """Holds the burst after the step that is being taken.

        Raises:
            WrongPhase: No burst is running.
        """
        with self._lock:
            self._expect("running")
            self._resumed.clear()
            self._set(phase="paused")

    def resume(self) -> None:
        """Goes on after a pause.

        Raises:
            WrongPhase: The burst is not paused.
        """
        with self._lock:
            self._expect("paused")
            self._set(phase="running")
            self._resumed.set()

    def stop(self) -> None:
        """Ends the burst between two micro-batches; asking twice, or when nothing runs, does nothing."""
        with self._lock:
            if self._status.phase not in ("preparing", "running", "paused", "stopping"):
                return
            self._stop.set()
            self._resumed.set()
            if self._burst is not None:
                self._burst.stop()
            self._set(phase="stopping")

    def keep(self) -> None:
        """Puts the trained values on the model, LoRA merged, so that the next burst starts from there.

        Raises:
            WrongPhase: There is no undecided result.
        """
        self._decide("kept")

    def discard(self) -> None:
        """Lets the trained values go; the model is as before the burst already.

        Raises:
            WrongPhase: There is no undecided result.
        """
        self._decide("discarded")

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until nothing runs; own event, sliced, since an interrupted ``join`` breaks ``is_alive`` (CPython 3.11).

        Returns:
            False when the time was up first.
        """
        return self._settled.wait(timeout)

    def close(self) -> None:
        """Stops a burst, gives the model back and ends the worker."""
        self.stop()
        if self._worker is not None:
            self._inbox.put(None)
            self._settled.wait(30)
            self._worker = None

    # --- the worker ------------------------------------------------------------------------------------------------

    def _post(self, job: Callable[[], None]) -> None:
        if self._worker is None:
            self._worker = threading.Thread(target=self._loop, name="vlmfreeze-worker", daemon=True)
            self._worker.start()
        self._inbox.put(job)

    def _loop(self) -> None:
        while (job := self._inbox.get()) is not None:
            try:
                with short_turns:
                    job()
            except BaseException as error:  # the thread must outlive any failure, and the person must see it
                self._fail(error)
            finally:
                if self._inbox.empty():
                    self._settled.set()
        self._settled.set()  # the farewell was in the inbox when the last job ended

    def _work(self, plan: Plan, settings: BurstSettings) -> None:
        assert self._model is not None
        assert self._batches is not None
        burst = Burst(self._model, plan, self._batches, eval_batches=self._eval_batches, settings=settings)
        with self._lock:
            self._burst = burst
            if self._stop.is_set():
                burst.stop()
        try:
            for record in burst:
                self.history = burst.history
                self._see(record, burst)
                while not self._resumed.wait(0.5):
                    pass
        except VlmFreezeError:
            # Out of memory at step 40, say: what was learnt in 39 steps is still the person's to keep.
            if not burst.history.taken:
                raise
        finally:
            burst.close()
            with self._lock:
                self._burst = None
                self.history = burst.history
        result = burst.result()
        with self._lock:
            self.result = result
            early = (
                f"Ended after {result.history.taken} of {settings.steps} steps: {result.stopped_early}"
                + ("." if not result.stopped_early.endswith(".") else "")
                if result.stopped_early
                else None
            )
            taken = result.history.taken
            problem = result.problem
            self._set(
                phase="deciding" if taken else "idle" if problem is None else "failed", verdicts=result.verdicts,
                message=early, verdict_after=taken, eta_seconds=None,
                error=None if problem is None else {**error_to_dict(problem), "traceback": ""},
            )  # fmt: skip

    def _see(self, record: StepRecord, burst: Burst) -> None:
        recent = burst.history[-_RECENT:]
        spent = sum(r.seconds for r in recent)
        with self._lock:
            per_step = spent / len(recent)
            changes: dict[str, Any] = {
                "step": record.step,
                "seconds_per_step": per_step,
                "eta_seconds": per_step * (burst.settings.steps - record.step),
                "tokens_per_second": sum(r.input_tokens for r in recent) / spent if spent else None,
                "memory_bytes": record.memory_bytes,
                "rates": record.lr,
            }
            if burst.verdicts and not self._status.verdicts:
                changes |= {"verdicts": burst.verdicts, "verdict_after": record.step}
            if self._status.phase == "preparing":
                changes["phase"] = "running"
            self._status = replace(self._status, **changes)
        self._tell("record")

    def _decide(self, outcome: Literal["kept", "discarded"]) -> None:
        with self._lock:
            self._expect("deciding")
            result = self.result
            assert result is not None
            self._settled.clear()
            self._set(phase="restoring")
            self._post(lambda: self._settle(result, outcome))

    def _settle(self, result: BurstResult, outcome: str) -> None:
        if outcome == "kept":
            result.keep(merge=True)
        else:
            result.discard()
        self._set(phase="idle", outcome=outcome)

    def _fail(self, error: BaseException) -> None:
        text = "".join(traceback.format_exception(error)) if not isinstance(error, VlmFreezeError) else ""
        # Frames hold tensors; what is shown is text, so let the frames go.
        traceback.clear_frames(error.__traceback__)
        self._set(phase="failed", error={**error_to_dict(error), "traceback": text}, eta_seconds=None)

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
                remedy="Look at what the session is doing first.",
            )
