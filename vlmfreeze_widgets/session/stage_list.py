"""The stages that a session is to run: chosen, added, given steps, and how far each is. ``session.stage_runner`` runs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.arguments import is_whole
from ..core.cost.static_memory import standing_cost
from ..core.errors import InvalidStrategy
from ..core.history.curve_points import curve_points
from ..core.history.history import History
from ..core.recipes.curricula import Curriculum, curricula
from ..core.recipes.published import published
from ..core.recipes.stage import Stage
from ..core.recipes.stages import Stages
from ..core.recipes.text import how_long, what_trains
from ..core.source_length import length_of
from ..core.strategy.plan import Plan
from ..core.wire.run_state import BUSY
from ..core.wire.stages_state import Staged, StagedStage
from ..engine.burst.result import BurstResult
from ..engine.stages.run_stages import settings_of_stage, steps_of_stage
from .context import SessionContext
from .obstacle import STAGE_UNDECIDED, UNDECIDED, Obstacle, busy, not_now
from .stage_status import STEPS_FIXED, StageEvent, after
from .strategy_editor import StrategyEditor

_MOST_STEPS = 1_000_000


class StageList:
    """The chosen stages of one session.

    Args:
        context: Of the session.
        editor: Its strategy, which ``add`` appends.

    Attributes:
        chosen: The stages as they were given; None while none are chosen.
        staged: The same as the page is shown them, with the status of each.
        batches: Name of a stage -> batches of its own.
        histories: Name of a stage -> the records of its last burst.
        place: Of the stage whose burst runs, or whose result is undecided; None otherwise.
    """

    def __init__(self, context: SessionContext, editor: StrategyEditor) -> None:
        self._context = context
        self._editor = editor
        self.chosen: Stages | None = None
        self.staged: Staged | None = None
        self.batches: dict[str, Iterable[Any]] = {}
        self.histories: dict[str, History] = {}
        self.place: int | None = None

    @property
    def curricula(self) -> tuple[Curriculum, ...]:
        """Published recipes of several stages that fit the model."""
        return curricula(self._context.tree)

    @property
    def present(self) -> Stage | None:
        """The stage whose burst runs, or whose result is undecided."""
        return None if self.place is None or self.chosen is None else self.chosen[self.place]

    @property
    def is_active(self) -> bool:
        """Whether the model has weights of stages on it that are neither kept nor discarded."""
        return self.staged is not None and self.staged.active

    @property
    def is_under_way(self) -> bool:
        """Whether a stage runs, is undecided, or has left its weights on the model."""
        return self.staged is not None and (self.staged.active or self.place is not None)

    def choose(self, stages: Stages | str | None, batches: Mapping[str, Iterable[Any]] | None = None) -> None:
        """Takes stages to run; nothing runs yet.

        Args:
            stages: Stages, the name of a published recipe ("llava-1.5"), or None for none. A published stage takes as many
                steps as a burst of this session, since its own number is for its own data.
            batches: By stage name; without them every stage has the session's.

        Raises:
            UnknownTarget: No such recipe, or a stage names what the model does not have.
            WrongPhase: A stage runs, or the weights of stages are undecided.
        """
        tree = self._context.tree
        chosen = published(stages, tree) if isinstance(stages, str) else stages
        # A published stage says its rows and steps for a cluster; here its length is that of a burst.
        own = not isinstance(stages, str)
        plans = () if chosen is None else chosen.plan(tree)
        with self._context.lock:
            self._expect_free()
            self.batches = dict(batches or {})
            self.chosen = chosen
            self.histories = {}
            shown = () if chosen is None else tuple(
                self._shown(stage, plan, own) for stage, plan in zip(chosen, plans, strict=True)
            )  # fmt: skip
            self.staged = None if chosen is None else Staged(chosen.name, chosen.source, shown)
        self._context.tell("stages")

    def add(self, name: str) -> None:
        """Appends the present strategy as a stage, with the settings of the session.

        Raises:
            InvalidStrategy: There is a stage of that name.
            WrongPhase: As for ``choose``.
        """
        settings = self._context.settings
        made = Stage(
            name, self._editor.strategy, schedule=settings.scheduler, warmup=float(settings.warmup_steps),
            steps=settings.steps, optimizer=settings.optimizer, max_grad_norm=settings.max_grad_norm,
        )  # fmt: skip
        before = self.chosen
        with_it = Stages("mine", (made,)) if before is None else replace(before, stages=(*before.stages, made))
        steps = {} if self.staged is None else {s.name: s.steps for s in self.staged.stages}
        self.choose(with_it, self.batches)
        for name_before, count in steps.items():
            self.change(name_before, steps=count)

    def set_steps(self, name: str, steps: int) -> None:
        """Says how many steps a stage takes.

        Args:
            name: Of the stage.
            steps: From 1 to 1,000,000.

        Raises:
            InvalidStrategy: No such stage, or no such number of steps.
            WrongPhase: It runs already, or is done.
        """
        with self._context.lock:
            stage = next((s for s in self.staged.stages if s.name == name), None) if self.staged else None
            if stage is None or not is_whole(steps, 1) or steps > _MOST_STEPS:
                raise InvalidStrategy(
                    "A stage cannot have these steps.",
                    expected=f"a stage of the list and a whole number from 1 to {_MOST_STEPS:,}",
                    found=f"{name!r:.40}, {steps}",
                    remedy="Give another number.",
                )
            if stage.status in STEPS_FIXED and self.is_under_way:
                why = f"the stage {name!r} is {stage.status}"
                remedy = "Change a stage that is still to come."
                raise not_now(Obstacle(why, remedy), "Its steps cannot be changed now.", "a stage that has not begun")
            self.change(name, steps=steps)

    def change(self, name: str, **changes: Any) -> None:  # fields of StagedStage
        """Changes what is shown of one stage.

        Args:
            name: Of the stage.
            **changes: Fields of ``StagedStage``.
        """
        with self._context.lock:
            if self.staged is not None:
                stages = tuple(replace(s, **changes) if s.name == name else s for s in self.staged.stages)
                self.staged = replace(self.staged, stages=stages)
        self._context.tell("stages")

    def advance(self, name: str, event: StageEvent, **changes: Any) -> None:  # fields of StagedStage
        """Takes one stage to the status that follows an event, with what else changes by it.

        Args:
            name: Of the stage.
            event: As in ``session.stage_status``.
            **changes: Fields of ``StagedStage``.

        Raises:
            WrongPhase: The event does not belong to the status of the stage.
        """
        with self._context.lock:
            status = next((s.status for s in self.staged.stages if s.name == name), None) if self.staged else None
            if status is not None:
                self.change(name, status=after(status, event), **changes)

    def reset(self) -> None:
        """All stages are to come again; under the lock.

        Raises:
            WrongPhase: One of them runs or is undecided.
        """
        assert self.staged is not None
        fresh = (
            replace(
                s, status=after(s.status, "reset"), burst=0, taken=0, seconds=0.0, peak_bytes=None, failures=0,
                message="", points=b"",
            )
            for s in self.staged.stages
        )  # fmt: skip
        self.staged = replace(self.staged, stages=tuple(fresh), outcome=None, restored=None)
        self.histories = {}

    def plan_of(self, stage: Stage) -> Plan:
        """The plan of a stage on the model."""
        plan: Plan = stage.plan(self._context.tree)
        return plan

    def feed(self) -> Iterable[Any]:
        """The micro-batches of the stage that is under way, where it has its own; else the session's."""
        shared = self._context.batches or ()
        return shared if self.present is None else self.batches.get(self.present.name, shared)

    def _expect_free(self) -> None:
        if self._context.status.phase in BUSY:
            raise not_now(busy(self._context.status.phase))
        if self.is_under_way:
            raise not_now(UNDECIDED if self.is_active else STAGE_UNDECIDED)

    def _shown(self, stage: Stage, plan: Plan, own: bool) -> StagedStage:
        settings, tree, shared = self._context.settings, self._context.tree, self._context.batches
        batches = self.batches.get(stage.name, shared if shared is not None else ())
        try:
            steps = steps_of_stage(stage, batches, None if own else settings.steps, settings.accumulation)
        except InvalidStrategy:
            steps = settings.steps
        of_stage = settings_of_stage(stage, steps)
        how = {
            "precision": settings.precision, "optimizer": of_stage["optimizer"], "checkpointing": bool(settings.checkpointing),
            "accumulation": settings.accumulation, "device": tree.device, "dtype": tree.dtype,
        }  # fmt: skip
        data = stage.data
        if stage.name in self.batches and not data:
            known = length_of(batches)
            data = "batches of its own" if known is None else f"{known} micro-batches of its own"
        return StagedStage(
            stage.name, what_trains(stage.strategy), how_long(stage), of_stage["optimizer"], of_stage["scheduler"], max(1, steps),
            data, stage.notes, " ".join(w.message for w in plan.refusals)[:300],
            standing_cost(plan, how, None, 1, ()).peak_bytes,
        )  # fmt: skip


def figures_of(result: BurstResult) -> dict[str, Any]:
    """What is shown of a stage after its burst: steps, seconds, peak memory, components that do not train, the loss curve."""
    history = result.history
    return {
        "taken": history.taken,
        "seconds": sum(r.seconds for r in history),
        "peak_bytes": max((r.memory_bytes for r in history if r.memory_bytes is not None), default=None),
        "failures": sum(v.status == "failure" for v in result.verdicts),
        "points": curve_points(history),
        "message": result.stopped_early if result.stopped_early not in (None, "stopped") else "",
    }
