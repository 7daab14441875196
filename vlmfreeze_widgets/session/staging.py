"""Stages in a session: bursts one after the other on the weights that the last one left, then kept or taken back together.

What a stage is stands in ``core.recipes.stages``; without a session ``engine.stages.run_stages`` runs them.

Long because what happens on the worker is read beside what asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from ..core.cost.static_memory import standing_cost
from ..core.errors import InvalidStrategy, VlmFreezeError, WrongPhase
from ..core.history.curve_points import curve_points
from ..core.history.history import History
from ..core.language.format import first_line
from ..core.recipes.curricula import Curriculum, curricula
from ..core.recipes.published import published
from ..core.recipes.stage import Stage
from ..core.recipes.stages import Stages
from ..core.recipes.text import how_long, what_trains
from ..core.source_length import length_of
from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..core.wire.run_state import BUSY, Phase
from ..core.wire.stages_state import Staged, StagedStage
from ..engine.batches.resize import split_rows
from ..engine.burst.burst import Burst
from ..engine.burst.keeping import check_stages_mergeable
from ..engine.burst.result import BurstResult
from ..engine.model.ownership import check_free
from ..engine.settings import BurstSettings
from ..engine.stages.run_stages import settings_of_stage, steps_of_stage
from ..engine.stages.start import StagesStart
from .obstacle import STAGE_UNDECIDED, UNDECIDED, Obstacle, busy, not_now
from .saving import Saving


class Staging(Saving):
    """A session that can run stages.

    Attributes:
        staged: The chosen stages and how far each is; None while none are chosen.
        stage_histories: Name of a stage -> the records of its last burst.
    """

    staged: Staged | None = None
    _stages: Stages | None = None
    _at: int | None = None  # the stage whose burst runs, or is undecided
    _start_of_stages: StagesStart | None = None
    _first: Strategy | None = None
    _is_whole = False

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - those of Saving
        super().__init__(*args, **named)
        self._stage_batches: dict[str, Iterable[Any]] = {}
        self.stage_histories: dict[str, History] = {}

    @property
    def curricula(self) -> tuple[Curriculum, ...]:
        """Published recipes of several stages that fit the model."""
        return curricula(self.tree)

    @property
    def why_no_stage(self) -> str | None:
        """Why no stage can start now; None where one can."""
        with self._lock:
            obstacle = self._obstacle_to_any()
            return None if obstacle is None else obstacle.why

    @property
    def stages(self) -> Stages | None:
        """The chosen stages; None while none are."""
        return self._stages

    def choose_stages(self, stages: Stages | str | None, batches: Mapping[str, Iterable[Any]] | None = None) -> None:
        """Takes stages to run; nothing runs yet.

        Args:
            stages: Stages, the name of a published recipe ("llava-1.5"), or None for none. A published stage takes as many
                steps as a burst of this session, since its own number is for its own data.
            batches: By stage name; without them every stage has the session's.

        Raises:
            UnknownTarget: No such recipe, or a stage names what the model does not have.
            WrongPhase: A stage runs, or the weights of stages are undecided.
        """
        chosen = published(stages, self.tree) if isinstance(stages, str) else stages
        # A published stage says its rows and steps for a cluster; here its length is that of a burst.
        own = None if isinstance(stages, str) else chosen
        plans = () if chosen is None else chosen.plan(self.tree)
        with self._lock:
            self._expect_free()
            self._stage_batches = dict(batches or {})
            self._stages = chosen
            self.stage_histories = {}
            shown = () if chosen is None else tuple(
                self._shown_stage(s, p, own is not None) for s, p in zip(chosen, plans, strict=True)
            )  # fmt: skip
            self.staged = None if chosen is None else Staged(chosen.name, chosen.source, shown)
        self._tell("stages")

    def add_stage(self, name: str) -> None:
        """Appends the present strategy as a stage, with the settings of this session.

        Raises:
            InvalidStrategy: There is a stage of that name.
            WrongPhase: As for ``choose_stages``.
        """
        made = Stage(
            name, self.strategy, schedule=self.settings.scheduler, warmup=float(self.settings.warmup_steps),
            steps=self.settings.steps, optimizer=self.settings.optimizer, max_grad_norm=self.settings.max_grad_norm,
        )  # fmt: skip
        before = self._stages
        with_it = Stages("mine", (made,)) if before is None else replace(before, stages=(*before.stages, made))
        steps = {} if self.staged is None else {s.name: s.steps for s in self.staged.stages}
        self.choose_stages(with_it, self._stage_batches)
        for name_before, count in steps.items():
            self._change(name_before, steps=count)

    def set_stage_steps(self, name: str, steps: int) -> None:
        """Says how many steps a stage takes.

        Raises:
            InvalidStrategy: No such stage, or no such number of steps.
            WrongPhase: It runs already, or is done.
        """
        with self._lock:
            stage = next((s for s in self.staged.stages if s.name == name), None) if self.staged else None
            if stage is None or not 1 <= steps <= 1_000_000:
                raise InvalidStrategy(
                    "A stage cannot have these steps.",
                    expected="a stage of the list and a whole number from 1 to 1,000,000",
                    found=f"{name!r:.40}, {steps}",
                    remedy="Give another number.",
                )
            if stage.status in ("running", "done") and self._is_under_way:
                why = f"the stage {name!r} is {stage.status}"
                remedy = "Change a stage that is still to come."
                raise not_now(Obstacle(why, remedy), "Its steps cannot be changed now.", "a stage that has not begun")
            self._change(name, steps=steps)

    def run_stages(self, *, only_next: bool = False) -> int:
        """Starts the stages that are not done yet, on the worker thread, and returns at once.

        Each begins with the weights that the one before left; of a stage that is stopped, or that fails, the model is as before
        it, and what it learnt can be kept or let go as of any burst.

        Args:
            only_next: Only one stage.

        Returns:
            The number of the first burst.

        Raises:
            WrongPhase: No stages are chosen, all are done, or the model is busy.
            PlanRefused: A stage trains nothing here. Nothing has run then.
            CannotMerge: The adapters of a stage before the last cannot be merged into packed weights. Nothing has run then.
        """
        with self._lock:
            obstacle = self._obstacle_to_any()
            if self.staged is None or self._stages is None:
                obstacle = Obstacle(
                    "no stages are chosen", "Choose them: bench.stages = vf.Stages(...) or a recipe's name."
                )
            if obstacle is not None:
                raise not_now(obstacle)
            assert self.staged is not None
            if not self._is_under_way:
                self._begin()
            place = self.staged.next
            if place is None:
                raise not_now(Obstacle("all stages are done: keep or discard them", UNDECIDED.remedy))
            assert self._stages is not None
            plans = [(self._stages[i], self._plan_of(self._stages[i].name)) for i in range(place, len(self._stages))]
            for _, plan in plans:
                plan.check()
            check_stages_mergeable(self._model, plans)
            self.staged = replace(self.staged, runs_all=not only_next)
            return self._run_stage(place)

    def keep_stages(self) -> None:
        """Leaves the weights of the stages that are done on the model, for good.

        Raises:
            WrongPhase: No stage is done, or one is running or undecided.
        """
        with self._lock:
            self._expect_decidable()
            self._start_of_stages = None
            self._settled("kept")

    def discard_stages(self) -> None:
        """Gives the model back, on the worker thread, bit for bit as it was before the first stage.

        Raises:
            WrongPhase: As for ``keep_stages``.
        """
        with self._lock:
            self._expect_decidable()
            self._set(phase="restoring")
            self._worker.post(self._take_back)

    def run_smaller(self) -> int:
        """As of any burst; where memory ran out in a stage, this one and those after it go on so."""
        with self._lock:
            burst = self._status.burst
            of_stage = self.staged is not None and any(
                s.burst == burst and s.status != "done" for s in self.staged.stages
            )
            if not of_stage or self.advice is None or self._batches is None:
                return super().run_smaller()
            advice = self.advice
            self._batches = split_rows(self._batches, advice.rows)
            self._stage_batches = {name: split_rows(b, advice.rows) for name, b in self._stage_batches.items()}
            again = self.settings.checkpointing or advice.checkpointing
            self.settings = replace(self.settings, accumulation=advice.accumulation, checkpointing=again)
            return self.run_stages(only_next=self.staged is None or not self.staged.runs_all)

    # What follows is asked under the lock.

    @property
    def _is_under_way(self) -> bool:
        return self.staged is not None and (self.staged.active or self._at is not None)

    def _begin(self) -> None:
        """The stages start from the beginning."""
        assert self.staged is not None
        fresh = (
            replace(
                s, status="coming", burst=0, taken=0, seconds=0.0, peak_bytes=None, failures=0, message="", points=b""
            )
            for s in self.staged.stages
        )
        self.staged = replace(self.staged, stages=tuple(fresh), outcome=None, restored=None)
        self._first = self.strategy
        self._start_of_stages = None
        self.stage_histories = {}

    def _run_stage(self, place: int) -> int:
        assert self._stages is not None
        assert self.staged is not None
        stage, shown = self._stages[place], self.staged.stages[place]
        settings = replace(self.settings, **settings_of_stage(stage, shown.steps))
        plan = self._plan_of(stage.name)
        self.set_strategy(stage.strategy)
        self._at, self._is_whole = place, False
        number = super()._start(lambda: self._make_stage(plan, settings), settings.steps)
        self._change(
            stage.name, status="running", burst=number, taken=0, seconds=0.0, peak_bytes=None, failures=0, message="",
            points=b"",
        )  # fmt: skip
        return number

    def _start(self, make: Callable[[], Burst], steps: int) -> int:
        if self.staged is not None and self.staged.active:
            raise not_now(UNDECIDED)
        if self._at is not None:  # a result that was undecided is let go
            self._not_taken()
        return super()._start(make, steps)

    def _obstacle(self) -> Obstacle | None:
        return UNDECIDED if self.staged is not None and self.staged.active else super()._obstacle()

    @property
    def _feed(self) -> Iterable[Any]:
        name = None if self._at is None or self._stages is None else self._stages[self._at].name
        return super()._feed if name is None else self._stage_batches.get(name, super()._feed)

    def _plan_of(self, name: str) -> Plan:
        assert self._stages is not None
        plan: Plan = self._stages[name].plan(self.tree)
        return plan

    def _expect_free(self) -> None:
        if self._status.phase in BUSY:
            raise not_now(busy(self._status.phase))
        if self._is_under_way:
            raise not_now(UNDECIDED if self.staged is not None and self.staged.active else STAGE_UNDECIDED)

    def _expect_decidable(self) -> None:
        if self.staged is None or not self.staged.active or self._at is not None or self._status.phase in BUSY:
            raise WrongPhase(
                "The stages cannot be decided now.",
                expected="at least one stage that is done, and none that runs or is undecided",
                found=self._status.phase,
                remedy="Wait for the stage, or decide on what it learnt.",
            )

    def _settled(self, outcome: Literal["kept", "discarded"], **more: Any) -> None:  # noqa: ANN401 - fields of Staged
        assert self.staged is not None
        self.staged = replace(self.staged, active=False, runs_all=False, outcome=outcome, **more)
        self._tell("stages")
        self._set(phase="idle", outcome=None, message=None)

    def _change(self, name: str, **changes: Any) -> None:  # noqa: ANN401 - fields of StagedStage
        with self._lock:
            if self.staged is not None:
                stages = tuple(replace(s, **changes) if s.name == name else s for s in self.staged.stages)
                self.staged = replace(self.staged, stages=stages)
        self._tell("stages")

    def _not_taken(self) -> None:
        """What a stage learnt before it was stopped is let go: it is to come again."""
        if self._at is None or self._stages is None:
            return
        name = self._stages[self._at].name
        self.stage_histories.pop(name, None)
        self._change(name, status="coming", burst=0, taken=0, seconds=0.0, failures=0, message="", points=b"")
        self._nothing_to_decide()

    def _nothing_to_decide(self) -> None:
        """The model is as before the stage that was under way, and no value of it waits for a decision."""
        with self._lock:
            self._at = None
            if self.staged is not None and not self.staged.active:
                self._start_of_stages = None

    # What follows is done on the worker.

    def _make_stage(self, plan: Plan, settings: BurstSettings) -> Burst:
        if self._start_of_stages is None:
            assert self._stages is not None
            self._start_of_stages = StagesStart(self._model, self._stages.plan(self.tree))
        return self._make(plan, settings)

    def _phase_after(self, result: BurstResult) -> Phase:
        phase = super()._phase_after(result)
        self._is_whole = (
            self._at is not None and phase == "deciding" and result.problem is None and not self._stop.is_set()
        )
        return "preparing" if self._is_whole else phase

    def _work(self, make: Callable[[], Burst]) -> None:
        place = self._at
        if place is None or self._stages is None:
            return super()._work(make)
        stage = self._stages[place]
        try:
            super()._work(make)
            result = self.result
            assert result is not None
            self._take_down(stage, result)
            if not result.history.taken:
                self._not_begun(result)
            if self._is_whole:
                self._is_whole = False
                told = self._keep_plain(result)
                if told is not None:
                    self._change(stage.name, message=told)
                self._stage_done(stage)
        except BaseException as error:
            self._change(stage.name, status="failed", message=first_line(error))
            if self.result is None:
                self._nothing_to_decide()
            raise

    def _not_begun(self, result: BurstResult) -> None:
        """It ended before its first step, so nobody is asked to decide, and the stages before it must not wait for that."""
        if result.problem is None:
            self._not_taken()
        else:
            self._nothing_to_decide()

    def _take_down(self, stage: Stage, result: BurstResult) -> None:
        history = result.history
        self.stage_histories[stage.name] = history
        if self._start_of_stages is not None:
            self._start_of_stages.remember(result)
        ended = "failed" if result.problem is not None else "running" if self._is_whole else "stopped"
        self._change(
            stage.name, status=ended, taken=history.taken, seconds=sum(r.seconds for r in history),
            peak_bytes=max((r.memory_bytes for r in history if r.memory_bytes is not None), default=None),
            failures=sum(v.status == "failure" for v in result.verdicts), points=curve_points(history),
            message=result.stopped_early if result.stopped_early not in (None, "stopped") else "",
        )  # fmt: skip

    def _stage_done(self, stage: Stage) -> None:
        """The stage's weights are on the model."""
        self._change(stage.name, status="done")
        with self._lock:
            assert self.staged is not None
            self.staged = replace(self.staged, active=True)
            self._at = None
            following = self.staged.next
            if self.staged.runs_all and following is not None and not self._stop.is_set():
                self._run_stage(following)
                return
            self.staged = replace(self.staged, runs_all=False)
            self._set(phase="idle", outcome=None, default_steps=self.settings.steps)
        self._tell("stages")

    def _settle(self, result: BurstResult, outcome: str) -> None:
        super()._settle(result, outcome)
        with self._lock:
            if self._at is None or self._stages is None:
                return
            if outcome != "kept":
                self._not_taken()
                return
            self.staged = None if self.staged is None else replace(self.staged, runs_all=False)
            self._stage_done(self._stages[self._at])

    def _leave(self) -> None:
        try:
            if self.staged is not None and self.staged.active:  # weights that nobody has kept are taken off the model
                self._at = None
                self._take_back()
        except VlmFreezeError as error:
            self._fail(error)
        finally:
            self._start_of_stages = None
            self._stage_batches = {}
            super()._leave()

    def _take_back(self) -> None:
        start = self._start_of_stages
        assert start is not None
        # Between two stages the model is anybody's: what a cell applies to it would come back with its revert.
        check_free(start.model)
        start.restore()
        seen = start.check()
        with self._lock:
            self._start_of_stages = None
            self._carries_adapters = False
            self.proved = None
            self._settled("discarded", restored=seen)
            if self._first is not None and self._stages is not None:
                if any(self.strategy == stage.strategy for stage in self._stages):
                    self.set_strategy(self._first)
                self._first = None

    def _shown_stage(self, stage: Stage, plan: Plan, own: bool) -> StagedStage:
        batches = self._stage_batches.get(stage.name, self._batches if self._batches is not None else ())
        try:
            steps = steps_of_stage(stage, batches, None if own else self.settings.steps, self.settings.accumulation)
        except InvalidStrategy:
            steps = self.settings.steps
        asked = settings_of_stage(stage, steps)
        settings = self.settings
        how = {
            "precision": settings.precision, "optimizer": asked["optimizer"], "checkpointing": bool(settings.checkpointing),
            "accumulation": settings.accumulation, "device": self.tree.device, "dtype": self.tree.dtype,
        }  # fmt: skip
        data = stage.data
        if stage.name in self._stage_batches and not data:
            data = (
                f"{known} micro-batches of its own"
                if (known := length_of(batches)) is not None
                else "batches of its own"
            )
        return StagedStage(
            stage.name, what_trains(stage.strategy), how_long(stage), asked["optimizer"], asked["scheduler"], max(1, steps),
            data, stage.notes, " ".join(w.message for w in plan.refusals)[:300],
            standing_cost(plan, how, None, 1, ()).peak_bytes,
        )  # fmt: skip
