"""Stages run one after another: each begins with the weights that the one before left, and all of them can be undone at once.

What a stage is stands in ``core.recipes.stages``; a single stage is a burst whose result is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn

from ...core.arguments import BATCHES_BY_STAGE, FUNCTION, Kind, checked, is_whole, maybe, whole
from ...core.errors import InvalidStrategy, WrongPhase
from ...core.history.history import History, StepRecord
from ...core.recipes.stage import Stage
from ...core.recipes.stages import STAGES, Stages
from ...core.source_length import length_of
from ..accepted import MODEL, WATCHED, burst_settings, keywords_of
from ..burst.burst import Burst
from ..burst.keeping import check_stages_mergeable, keep_plain_if_exact
from ..burst.result import BurstResult
from ..model.ownership import check_free
from ..model.read import read_tree
from ..model.wrappers import unwrap
from ..settings import BurstSettings
from .start import StagesStart

_STEPS = Kind(
    "a whole number of at least 1, a mapping of stages to such numbers, or None",
    lambda value: (
        value is None
        or is_whole(value, 1)
        or (isinstance(value, Mapping) and all(v is None or is_whole(v, 1) for v in value.values()))
    ),
    "Write, for example, steps=50 or steps={{'pretrain': 50}}.",
    error=InvalidStrategy,
)


class StagesResult:
    """What a run of stages left. The model has the trained weights; ``undo`` restores what was before the first stage.

    Attributes:
        stages: What was run.
        results: Stage name -> result of its burst, kept.
        notes: What was done otherwise than the stages say: another batch, fewer steps.
    """

    def __init__(
        self, stages: Stages, results: Mapping[str, BurstResult], notes: tuple[str, ...], start: StagesStart
    ) -> None:
        self.stages = stages
        self.results = dict(results)
        self.notes = notes
        self._start: StagesStart | None = start

    @property
    def histories(self) -> dict[str, History]:
        """Stage name -> its records."""
        return {name: result.history for name, result in self.results.items()}

    def undo(self) -> nn.Module:
        """Gives the model back bit for bit as it was before the first stage.

        Raises:
            WrongPhase: It was undone already.
            ModelBusy: The model is in use.
        """
        if self._start is None:
            raise WrongPhase(
                "These stages were undone already.",
                expected="stages whose weights are on the model",
                found="the weights from before them",
                remedy="Run them again.",
            )
        check_free(self._start.model)
        start, self._start = self._start, None
        start.restore()
        return start.model

    def __repr__(self) -> str:
        lines = []
        for name, result in self.results.items():
            last = result.history.last
            losses = f"loss {result.history[0].loss:.3g} → {last.loss:.3g}" if last is not None else "no step"
            lines.append(f"{name}: {result.history.taken} steps, {losses}")
        return "\n".join([*lines, *(f"  ! {note}" for note in self.notes)])


@checked(
    lambda: (*keywords_of(Burst.__init__, "settings"), "accumulation", "rows", "steps"),
    model=MODEL,
    stages=STAGES,
    batches=BATCHES_BY_STAGE,
    steps=_STEPS,
    accumulation=whole(1).raising(InvalidStrategy),
    rows=maybe(whole(1, 16)),
    on_record=maybe(FUNCTION),
    **WATCHED,
)
def run_stages(
    model: nn.Module,
    stages: Stages,
    batches: Iterable[Any] | Mapping[str, Iterable[Any]],
    *,
    steps: int | Mapping[str, int] | None = None,
    accumulation: int = 1,
    rows: int | None = None,
    on_record: Callable[[Stage, StepRecord], None] | None = None,
    **settings: Any,  # fields of BurstSettings and arguments of Burst
) -> StagesResult:
    """Runs stages in order; the weights carry over, adapters being added to the weights at the end of their stage.

    The adapters of the last stage stay beside weights that cannot take them without loss (4-bit, 8-bit, ...); a note says so.

    Args:
        model: A real model, without adapters.
        stages: From ``vf.published(name, tree)``, or one's own.
        batches: For all stages, or by stage name.
        steps: Of every stage, or by name; by default the stage's own, or those that its epochs make of the batches.
        accumulation: Micro-batches per step.
        rows: Rows of a micro-batch, for a note where the stage was made for another batch. Rates are never scaled.
        on_record: Called with the stage and each record.
        settings: For every burst; they win over what a stage says (``scheduler``, ``warmup_steps``, ``optimizer``, ...).

    Returns:
        The results by stage, and ``undo``.

    Raises:
        InvalidStrategy: It cannot be known how many steps a stage has, or batches are missing.
        PlanRefused: A stage trains nothing here. Nothing has run then.
        CannotMerge: The adapters of a stage that is not the last cannot be merged into packed weights. Nothing has run then.
        VlmFreezeError: A stage failed; the model is as before the first one.
    """
    model = unwrap(model)
    check_free(model)
    if (lr := settings.pop("lr", None)) is not None:
        stages = stages.with_general_rate(lr)
    if isinstance(steps, Mapping):
        for name in steps:
            _ = stages[name]  # names it where there is none
    plans = {stage.name: plan for stage, plan in zip(stages, stages.plan(read_tree(model)), strict=True)}
    wanted = {stage.name: steps_of_stage(stage, _batches(stage, batches), steps, accumulation) for stage in stages}
    for plan in plans.values():
        plan.check()
    check_stages_mergeable(model, [(stage, plans[stage.name]) for stage in stages])
    for stage in stages:  # a setting that cannot be meant is named before anything runs
        of_burst = {**settings_of_stage(stage, wanted[stage.name]), "accumulation": accumulation, **settings}
        BurstSettings(**{name: value for name, value in of_burst.items() if name in burst_settings()})
    start = StagesStart(model, plans.values())
    notes = [
        f"{stage.name}: {wanted[stage.name]} steps; the recipe has {stage.steps:,}."
        for stage in stages
        if stage.steps is not None and wanted[stage.name] != stage.steps
    ]
    notes += stages.scale_notes(rows * accumulation) if rows is not None else ()
    results: dict[str, BurstResult] = {}
    try:
        for stage in stages:
            of_stage = settings_of_stage(stage, wanted[stage.name])
            burst = Burst(
                model,
                stage.strategy,
                _batches(stage, batches),
                **{**of_stage, "accumulation": accumulation, **settings},
            )
            result = burst.run(None if on_record is None else partial(on_record, stage))
            results[stage.name] = result
            if (note := _kept(result, is_last=stage.name == stages[-1].name)) is not None:
                notes.append(f"{stage.name}: {note}")
    except BaseException:
        start.restore()
        raise
    return StagesResult(stages, results, tuple(notes), start)


def _kept(result: BurstResult, *, is_last: bool) -> str | None:
    if is_last:
        return keep_plain_if_exact(result)
    result.keep(merge=True)
    return None if result.merge_rounding is None else result.merge_rounding.sentence


def settings_of_stage(stage: Stage, steps: int) -> dict[str, Any]:
    """What a stage says of the settings of its burst, as fields of ``BurstSettings``."""
    settings: dict[str, Any] = {"steps": steps, "optimizer": stage.optimizer, "warmup_steps": stage.warmup_steps(steps)}
    schedule = stage.schedule or ("constant_with_warmup" if stage.warmup else "constant")
    settings |= {"scheduler": schedule}
    return settings | ({"max_grad_norm": stage.max_grad_norm} if stage.max_grad_norm is not None else {})


def _batches(stage: Stage, batches: Iterable[Any] | Mapping[str, Iterable[Any]]) -> Iterable[Any]:
    if not isinstance(batches, Mapping):
        return batches
    if stage.name not in batches:
        raise InvalidStrategy(
            f"There are no batches for the stage {stage.name!r}.",
            expected=f"batches under {stage.name!r}",
            found=", ".join(map(str, batches)) or "none",
            remedy="Give one source for all stages, or one for each by its name.",
        )
    found: Iterable[Any] = batches[stage.name]
    return found


def steps_of_stage(
    stage: Stage, batches: Iterable[Any], given: int | Mapping[str, int] | None, accumulation: int
) -> int:
    """How many steps a stage takes: those given, else its own, else those that its epochs make of the batches.

    Raises:
        InvalidStrategy: None of these is known.
    """
    chosen = given.get(stage.name) if isinstance(given, Mapping) else given
    if chosen is not None:
        return chosen
    if stage.steps is not None:
        return stage.steps
    if stage.epochs is not None and (known := length_of(batches)) is not None:
        return max(1, math.ceil(stage.epochs * known / accumulation))
    raise InvalidStrategy(
        f"It is not known how many steps the stage {stage.name!r} has.",
        expected="steps, or epochs and batches that have a length",
        found="neither",
        remedy=f"Say it: run_stages(..., steps={{{stage.name!r}: 50}}).",
    )
