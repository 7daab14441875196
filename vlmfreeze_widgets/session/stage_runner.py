"""Runs the stages of a session: bursts one after the other, each on the weights that the last one left.

What a stage is stands in ``core.recipes.stages``, which stages there are in ``session.stage_list``, what follows which event in
``session.stage_status``, what becomes of all of them in ``session.stages_decision``; without a session
``engine.stages.run_stages`` runs them.
"""

from __future__ import annotations

from dataclasses import replace

from ..core.language.format import first_line
from ..core.recipes.stage import Stage
from ..core.strategy.plan import Plan
from ..core.wire.run_state import Phase
from ..engine.batches.resize import split_rows
from ..engine.burst.burst import Burst
from ..engine.burst.keeping import check_stages_mergeable
from ..engine.burst.result import BurstResult
from ..engine.settings import BurstSettings
from ..engine.stages.run_stages import settings_of_stage
from .burst_decision import BurstDecision
from .burst_hooks import BurstHooks
from .burst_runner import BurstRunner
from .context import SessionContext
from .obstacle import UNDECIDED, Obstacle, not_now
from .stage_list import StageList, figures_of
from .stages_decision import StagesDecision
from .strategy_editor import StrategyEditor


class StageRunner:
    """Runs the chosen stages of one session.

    Args:
        context: Of the session.
        editor: Its strategy, which becomes that of the stage that runs.
        bursts: Runs a stage.
        decision: Puts what a stage learnt on the model.
        stages: The chosen ones.
        outcome: Holds the model as it was before the first one.

    Attributes:
        hooks: What it does with each burst.
    """

    def __init__(
        self,
        context: SessionContext,
        editor: StrategyEditor,
        bursts: BurstRunner,
        decision: BurstDecision,
        stages: StageList,
        outcome: StagesDecision,
    ) -> None:
        self._context = context
        self._editor = editor
        self._bursts = bursts
        self._decision = decision
        self._stages = stages
        self._outcome = outcome
        self._is_whole = False  # the burst of the present stage took every step
        self.hooks = BurstHooks(
            obstacle=lambda: UNDECIDED if stages.is_active else None,
            starting=self._other_burst_starts,
            phase_after=self._phase_after,
            ended=self._burst_ended,
            decided=self._decided,
        )

    def run(self, *, only_next: bool = False) -> int:
        """Starts the stages that are not done yet, on the worker thread, and returns at once.

        Each begins with the weights that the one before left; of a stage that is stopped, or that fails, the model is as before
        it, and what it learnt can be kept or discarded as of any burst.

        Args:
            only_next: Only one stage.

        Returns:
            The number of the first burst.

        Raises:
            WrongPhase: No stages are chosen, all are done, or the model is busy.
            PlanRefused: A stage trains nothing here. Nothing has run then.
            CannotMerge: The adapters of a stage before the last cannot be merged into packed weights. Nothing has run then.
        """
        stages = self._stages
        with self._context.lock:
            obstacle = self._context.obstacle()
            if stages.chosen is None or stages.staged is None:
                remedy = "Choose them: bench.stages = vf.Stages(...) or a recipe's name."
                raise not_now(Obstacle("no stages are chosen", remedy))
            if obstacle is not None:
                raise not_now(obstacle)
            if not stages.is_under_way:
                stages.reset()
                self._outcome.begin()
            place = stages.staged.next
            if place is None:
                raise not_now(Obstacle("all stages are done: keep or discard them", UNDECIDED.remedy))
            plans = [(stage, stages.plan_of(stage)) for stage in stages.chosen[place:]]
            for _, plan in plans:
                plan.check()
            check_stages_mergeable(self._context.model, plans)
            stages.staged = replace(stages.staged, runs_all=not only_next)
            return self._run_stage(place)

    def run_smaller(self) -> int:
        """Runs the stage in which memory ran out again, as advised; the stages after it go on so, too.

        Returns:
            The burst's number.

        Raises:
            WrongPhase: The model is busy.
            BadBatch: The micro-batches cannot be divided by rows.
        """
        with self._context.lock:
            advice, stages = self._bursts.advice, self._stages
            assert advice is not None
            own = {name: split_rows(batches, advice.rows) for name, batches in stages.batches.items()}
            self._bursts.follow(advice)
            stages.batches = own
            return self.run(only_next=stages.staged is None or not stages.staged.runs_all)

    @property
    def lacks_memory(self) -> bool:
        """Whether memory ran out in the burst of a stage, and a smaller one was seen to run; asked under the lock."""
        staged, number = self._stages.staged, self._context.status.burst
        of_stage = staged is not None and any(s.burst == number and s.status != "done" for s in staged.stages)
        return of_stage and self._bursts.advice is not None and self._context.batches is not None

    # What follows is asked under the lock.

    def _run_stage(self, place: int) -> int:
        stages = self._stages
        assert stages.chosen is not None
        assert stages.staged is not None
        stage, shown = stages.chosen[place], stages.staged.stages[place]
        settings = replace(self._context.settings, **settings_of_stage(stage, shown.steps))
        plan = stages.plan_of(stage)
        self._editor.set_strategy(stage.strategy)
        stages.place, self._is_whole = place, False
        number = self._bursts.begin(lambda: self._make(plan, settings), settings.steps)
        stages.advance(
            stage.name, "start", burst=number, taken=0, seconds=0.0, peak_bytes=None, failures=0, message="", points=b""
        )
        return number

    def _other_burst_starts(self) -> None:
        if self._stages.is_active:
            raise not_now(UNDECIDED)
        self._drop_undecided()

    def _drop_undecided(self) -> None:
        """What a stage learnt before it ended early is dropped: it is to come again."""
        if (stage := self._stages.present) is None:
            return
        self._stages.histories.pop(stage.name, None)
        self._stages.advance(
            stage.name, "discard", burst=0, taken=0, seconds=0.0, failures=0, message="", points=b""
        )  # fmt: skip
        self._leave_stage()

    def _leave_stage(self) -> None:
        """No result of the stage waits for a decision, and the model is as before it."""
        with self._context.lock:
            self._stages.place = None
            if not self._stages.is_active:
                self._outcome.start = None

    # What follows is done on the worker.

    def _make(self, plan: Plan, settings: BurstSettings) -> Burst:
        self._outcome.take_start()
        return self._bursts.make(plan, settings, self._stages.feed())

    def _phase_after(self, result: BurstResult, phase: Phase) -> Phase:
        is_stage, stopped = self._stages.place is not None, self._context.stop_requested.is_set()
        self._is_whole = is_stage and phase == "deciding" and result.problem is None and not stopped
        return "preparing" if self._is_whole else phase

    def _burst_ended(self, error: BaseException | None) -> None:
        stage = self._stages.present
        if stage is None:
            return
        if error is not None:
            self._failed(stage, error)
            return
        try:
            result = self._decision.result
            assert result is not None
            self._record(stage, result)
            if not result.history.taken:  # nobody is asked to decide, and the stages before it must not wait for that
                if result.problem is None:
                    self._drop_undecided()
                else:
                    self._leave_stage()
            if not self._is_whole:
                return
            self._is_whole = False
            note = self._decision.keep_plain(result)
            if note is not None:
                self._stages.change(stage.name, message=note)
        except BaseException as failed:
            self._failed(stage, failed)
            raise
        self._stages.advance(stage.name, "finish")
        self._continue()

    def _failed(self, stage: Stage, error: BaseException) -> None:
        self._stages.advance(stage.name, "fail", message=first_line(error))
        if self._decision.result is None:
            self._leave_stage()

    def _record(self, stage: Stage, result: BurstResult) -> None:
        self._stages.histories[stage.name] = result.history
        if self._outcome.start is not None:
            self._outcome.start.remember(result)
        if self._is_whole:
            self._stages.change(stage.name, **figures_of(result))
        else:
            self._stages.advance(stage.name, "stop" if result.problem is None else "fail", **figures_of(result))

    def _decided(self, _: BurstResult, outcome: str) -> None:
        with self._context.lock:
            if (stage := self._stages.present) is None:
                return
            if outcome != "kept":
                self._drop_undecided()
                return
            self._stages.advance(stage.name, "keep")
            self._continue(by_decision=True)

    def _continue(self, *, by_decision: bool = False) -> None:
        """The weights of the present stage are on the model: the next one follows, or the session is idle."""
        stages = self._stages
        with self._context.lock:
            assert stages.staged is not None
            runs_all = stages.staged.runs_all and not by_decision
            stages.staged = replace(stages.staged, active=True, runs_all=runs_all)
            stages.place = None
            following = stages.staged.next
            if runs_all and following is not None and not self._context.stop_requested.is_set():
                self._run_stage(following)
                return
            stages.staged = replace(stages.staged, runs_all=False)
            self._context.set(phase="idle", outcome=None, default_steps=self._context.settings.steps)
        self._context.tell("stages")
