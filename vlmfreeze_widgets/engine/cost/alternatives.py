"""What other choices would cost: switches one at a time, and the largest micro-batch for a memory. Every answer is an estimate of
its own, not a rule of thumb.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.arguments import checked, whole
from ...core.cost.estimate import CostEstimate
from ...core.cost.gpus import usable_bytes
from ...core.cost.largest_batch import Peaks, largest_rows
from ...core.errors import BadBatch, InvalidStrategy, PlanRefused
from ...core.language.format import share, size
from ...core.language.phrase import say
from ...core.strategy.accepted import STRATEGY_OR_PLAN
from ...core.strategy.plan import Plan
from ...core.strategy.resolve import resolve
from ...core.strategy.strategy import Strategy
from ...core.strategy.text import component_rows
from ...core.tree.components import LABELS
from ..accepted import MAYBE_BATCH, keywords_of
from ..batches.repeated_rows import repeat_rows
from .estimate import check_batch, estimate_cost, model_and_tree


@dataclass(frozen=True)
class Switch:
    """One thing done otherwise.

    Attributes:
        name: Such as "checkpointing" or "freeze vision_tower".
        label: In words.
        saved_bytes: Of the peak; below 0 it costs memory.
        flops_ratio: Operations of a step, relative to before.
        cost: With the switch.
    """

    name: str
    label: str
    saved_bytes: int
    flops_ratio: float
    cost: CostEstimate

    def __str__(self) -> str:
        verb = "saves" if self.saved_bytes >= 0 else "costs"
        change = self.flops_ratio - 1
        work = (
            f", {'costs' if change > 0 else 'saves'} {share(abs(change), 1)} of the operations"
            if abs(change) >= 0.005
            else ""
        )
        return f"{self.label} {verb} {size(abs(self.saved_bytes))}{work}"


@dataclass(frozen=True)
class LargestBatch:
    """How many rows fit.

    Attributes:
        rows: 0 where not even one does.
        cost: Of so many rows (of one where none fit), or of the most below that could be traced; ``cost.rows`` says which.
        estimates: Rows -> peak bytes, of all that were traced; beyond them a straight line is followed.
        is_limit: Whether one row more was found not to fit.
    """

    rows: int
    cost: CostEstimate
    estimates: Mapping[int, int]
    is_limit: bool


def _of_estimate() -> tuple[str, ...]:
    return keywords_of(estimate_cost)


@checked(_of_estimate, strategy=STRATEGY_OR_PLAN, batch=MAYBE_BATCH)
def cost_switches(
    source: Any,  # as of estimate_cost
    strategy: Strategy | Plan | Mapping[str, object],
    batch: Mapping[str, Any] | None = None,
    **how: Any,  # as of estimate_cost
) -> tuple[Switch, ...]:
    """What each switch saves or costs, one at a time, the largest saving first.

    Args:
        source: As of ``estimate_cost``.
        strategy: As of ``estimate_cost``.
        batch: As of ``estimate_cost``.
        how: The other arguments of ``estimate_cost``.

    Returns:
        Recomputation on or off, the loss at all positions, an 8-bit optimizer, and the freezing of each component that
        trains. What cannot be estimated is left out.
    """
    model, tree = model_and_tree(source, strategy)
    plan = strategy if isinstance(strategy, Plan) else resolve(_as_strategy(strategy), tree)
    now = estimate_cost(model, plan, batch, **how)
    found = [
        switched(choice, now, other)
        for choice in cost_choices(plan, how)
        if (other := _maybe(model, choice.plan, batch, {**how, **choice.change})) is not None
        and other.is_bound == now.is_bound
    ]
    return tuple(sorted(found, key=lambda s: -s.saved_bytes))


@checked(lambda: tuple(n for n in _of_estimate() if n != "rows"), strategy=STRATEGY_OR_PLAN, most=whole(1, 4096))
def largest_batch(
    source: Any,  # as of estimate_cost
    strategy: Strategy | Plan | Mapping[str, object],
    memory_bytes: int,
    batch: Mapping[str, Any] | None = None,
    *,
    most: int = 4096,
    **how: Any,  # as of estimate_cost
) -> LargestBatch:
    """The largest micro-batch whose step fits, without a GPU; ``find_batch_size`` tries real steps on one.

    Args:
        source: As of ``estimate_cost``.
        strategy: As of ``estimate_cost``.
        memory_bytes: Of the GPU as sold; room for the context and the allocator's losses is taken off.
        batch: Its rows are repeated; None: typical batches.
        most: Rows at most.
        how: The other arguments of ``estimate_cost``, without ``rows``.

    Raises:
        BadBatch: Not even one row can be traced, so it stays unknown.
    """
    check_batch(batch, most)
    model, tree = model_and_tree(source, strategy)
    plan = strategy if isinstance(strategy, Plan) else resolve(_as_strategy(strategy), tree)
    room = usable_bytes(memory_bytes)
    traced: dict[int, CostEstimate] = {}

    def ask(rows: int) -> int | None:
        given = {"batch": repeat_rows(batch, rows)} if batch is not None else {"rows": rows}
        found = estimate_cost(model, plan, **given, **how)
        if not found.is_bound:
            traced[rows] = found
        elif not traced:
            raise BadBatch(
                "Nobody can say how many rows fit.",
                expected="a model whose step can be traced",
                found=" ".join(found.notes)[:300] or "a bound alone",
                remedy="Measure it on the device with vf.find_batch_size.",
            )
        return None if found.is_bound else found.peak_bytes

    peak = Peaks(ask)
    peak(1)
    good, is_limit = largest_rows(peak, room, most)
    return LargestBatch(
        good, traced[max(n for n in traced if n <= max(good, 1))], dict(sorted(peak.known.items())), is_limit
    )


@dataclass(frozen=True)
class Choice:
    """One thing that could be done otherwise.

    Attributes:
        name: Such as "checkpointing" or "freeze vision_tower".
        label: In words.
        plan: Then.
        change: Arguments of ``estimate_cost`` that differ.
    """

    name: str
    label: str
    plan: Plan
    change: Mapping[str, Any]


def cost_choices(plan: Plan, how: Mapping[str, Any]) -> Iterator[Choice]:
    """What could be switched, one at a time: recomputation, where the loss is computed, 8 bits, each component that trains.

    Args:
        plan: As it is.
        how: Arguments of ``estimate_cost``.
    """
    on = bool(how.get("checkpointing"))
    yield Choice(
        "checkpointing", say("no checkpointing") if on else say("checkpointing"), plan, {"checkpointing": not on}
    )
    everywhere = how.get("loss_positions") == "all"
    yield Choice(
        "loss_positions",
        say("the loss at the labels only") if everywhere else say("the loss at all positions, as most trainers"),
        plan,
        {"loss_positions": "labels" if everywhere else "all"},
    )
    if how.get("optimizer", "adamw") == "adamw":
        yield Choice("adamw8bit", say("AdamW in 8 bits"), plan, {"optimizer": "adamw8bit"})
    trained = [row.name for row in component_rows(plan) if row.trainable_params]
    for name in trained if len(trained) > 1 else ():
        yield Choice(f"freeze {name}", say("freezing the {part}", part=LABELS.get(name, name)), _frozen(plan, name), {})


def _frozen(plan: Plan, component: str) -> Plan:
    """The plan without what a component trains, whatever rules chose it."""
    rules = {
        t: r
        for t, r in plan.strategy.rules.items()
        if t in plan.tree.components or plan.tree.component_of(t) != component
    }
    return resolve(Strategy({**rules, component: "frozen"}, lr=plan.strategy.lr), plan.tree)


def _maybe(
    model: Any,
    plan: Plan,
    batch: Mapping[str, Any] | None,
    how: Mapping[str, Any],
) -> CostEstimate | None:
    try:
        return estimate_cost(model, plan, batch, **how)
    except (PlanRefused, InvalidStrategy):
        return None


def switched(choice: Choice, now: CostEstimate, other: CostEstimate) -> Switch:
    """What a choice saves, from the estimates before and after."""
    return Switch(choice.name, choice.label, now.peak_bytes - other.peak_bytes, _ratio(other, now), other)


def _ratio(other: CostEstimate, now: CostEstimate) -> float:
    return other.flops.total / now.flops.total if now.flops.total else 1.0


def _as_strategy(given: Strategy | Mapping[str, object]) -> Strategy:
    return given if isinstance(given, Strategy) else Strategy(given)
