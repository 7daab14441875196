"""Bursts of a session: started, paused, stopped on its worker thread, then kept or discarded.

Long because what happens on the worker is read beside what asks for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ..core.errors import RestartNeeded, VlmFreezeError
from ..core.history.history import Answers, History, StepRecord
from ..core.history.norms import NormLayout
from ..core.language.phrase import Phrase, say
from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from ..core.wire.messages import error_to_dict
from ..core.wire.run_state import Phase, RunStatus
from ..engine.burst.burst import Burst
from ..engine.burst.keeping import keep_plain_if_exact
from ..engine.burst.result import BurstResult
from ..engine.settings import BurstSettings
from .obstacle import ADAPTERS_KEPT, Obstacle, not_now
from .phases import Phases
from .shown import Proved

_RECENT = 10  # steps that speed and ETA are taken from
_LOOK = 0.1  # seconds between looks at what is wanted of a paused burst


class Bursting(Phases):
    """A session that runs at most one burst at a time.

    Attributes:
        result: The last burst's, once it is over.
        proved: Its proof, and after a discard that of the model given back.
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
        super().__init__(tree, strategy, model, source, batches, settings)
        self._watched: dict[str, Any] = {}
        self._burst: Burst | None = None
        self.result: BurstResult | None = None
        self.proved: Proved | None = None
        self._carries_adapters = False
        self._resumed = threading.Event()
        self._resumed.set()

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
            obstacle = self._obstacle()
            if obstacle is not None:
                raise not_now(obstacle)
            plan = self.plan
            return self._start(lambda: self._make(plan, settings), settings.steps)

    def _make(self, plan: Plan, settings: BurstSettings) -> Burst:
        """A burst that is about to run; on the worker."""
        return Burst(self._model, plan, self._feed, settings=settings, **self._watched)

    @property
    def _feed(self) -> Iterable[Any]:
        """The micro-batches of the burst that is about to run."""
        return self._batches or ()

    def _start(self, make: Callable[[], Burst], steps: int) -> int:
        """Clears the stage and has a burst made and run on the worker; under the lock."""
        number = self._status.burst + 1
        self._stop.clear()
        self._resumed.set()
        self.result = self.proved = None
        self.history = History(NormLayout((), (), ()))
        self._status = RunStatus(phase="preparing", burst=number, steps=steps, default_steps=steps)
        self._name_columns(self.plan)
        self._worker.post(lambda: self._work(make))
        self._tell("run")
        return number

    def _name_columns(self, plan: Plan) -> None:
        columns = tuple(dict.fromkeys(g.component for g in plan.optimizer_groups))
        self._status = replace(self._status, lr_columns=columns, norm_columns=columns, rates=plan.component_rates)

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

        Where the weights cannot take adapters without loss (4-bit, 8-bit, ...) these stay beside them, and the status says so.

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

    def let_go(self, why: str | None = None) -> None:
        """As of any session; a burst that runs is stopped first."""
        if self._is_here:
            self.stop()
        super().let_go(why)

    def _leave(self) -> None:
        with self._lock:
            self._watched = {}
            if self.result is not None:
                self.result = self.result.without_values()
        super()._leave()

    def _work(self, make: Callable[[], Burst]) -> None:
        burst = make()
        begun = len(burst.history)
        with self._lock:
            self._burst = burst
            if self._stop.is_set():
                burst.stop()
        try:
            for record in burst:
                self.history = burst.history
                self._see(record, burst)
                self._between(burst)
                while not self._resumed.wait(_LOOK):
                    self._between(burst)
        except VlmFreezeError as error:
            # Out of memory at step 40, say: what was learnt in 39 steps is still the person's to keep. Not on a lost device.
            # Of a burst that goes on, what a state holds may never have been put on the model.
            if not burst.history[begun:] or isinstance(error, RestartNeeded):
                raise
        finally:
            burst.close()
            with self._lock:
                self._burst = None
                self.history = burst.history
        result = burst.result()
        if result.proof is not None:
            self.proved = Proved(self._status.burst, result.proof)
        with self._lock:
            self.result = result
            taken, problem = result.history.taken, result.problem
            self._over(burst, result)
            early = ended_early(taken, burst.settings.steps, result.stopped_early, problem)
            self._set(
                phase=self._phase_after(result), verdicts=result.verdicts,
                message=early, verdict_after=taken, eta_seconds=None,
                error=None if problem is None else {**error_to_dict(problem), "traceback": ""},
            )  # fmt: skip

    def _over(self, burst: Burst, result: BurstResult) -> None:
        """On the worker, when a burst is over and before its result is shown."""

    def _phase_after(self, result: BurstResult) -> Phase:
        """What follows a burst; on the worker."""
        return "deciding" if result.history.taken else "idle" if result.problem is None else "failed"

    def _between(self, burst: Burst) -> None:
        """Between two steps, and now and then while the burst is paused; on the worker."""

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
                "answers": _answers(burst.history),
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
            self._set(phase="restoring")
            self._worker.post(lambda: self._settle(result, outcome))

    def _settle(self, result: BurstResult, outcome: str) -> None:
        told = None
        if outcome == "kept":
            told = self._keep_plain(result)
        else:
            result.discard()
            if self.proved is not None:
                self.proved = replace(self.proved, restored=result.check_restored())
        self._set(phase="idle", outcome=outcome, message=told or self._status.message)

    def _keep_plain(self, result: BurstResult) -> Phrase | None:
        """Merged where that loses nothing; what has to be known of it."""
        told = keep_plain_if_exact(result)
        with self._lock:
            self._carries_adapters = bool(result.plan.lora_targets) and not result.is_merged
        return told

    def _obstacle(self) -> Obstacle | None:
        return ADAPTERS_KEPT if self._carries_adapters else super()._obstacle()


def ended_early(taken: int, steps: int, why: str | None, problem: BaseException | None) -> str | None:
    """The sentence on a burst that ended before its time; the problem, if there is one, is told beside it."""
    if not why:
        return None
    if problem is not None:
        return say("Ended after {some} of {all} steps.", some=taken, all=steps)
    # A reason that is a sentence has its full stop.
    reason = why.rstrip(".") if why.endswith(".") else why
    return say("Ended after {some} of {all} steps: {why}.", some=taken, all=steps, why=reason)


def _answers(history: History) -> tuple[Answers, Answers] | None:
    return (history.answers[0], history.answers[-1]) if history.answers else None
