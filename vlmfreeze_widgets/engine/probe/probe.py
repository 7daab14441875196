"""The probe: two or three real steps that prove, part by part, that a strategy trains what it says. The model is as before.

The causes are named in ``core.evidence.diagnosis``; a setup made elsewhere is looked at by ``engine.probe.inspect_setup``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import torch
from torch import nn

from ...core.arguments import FLAG, checked, whole
from ...core.errors import BadBatch, InvalidStrategy, NoGradientPath, NonFiniteLoss
from ...core.evidence.diagnosis import Facts, diagnose
from ...core.evidence.probe_report import BatchFacts, Link, ProbeReport
from ...core.strategy.accepted import STRATEGY_OR_PLAN
from ...core.strategy.plan import Plan
from ...core.strategy.strategy import Strategy
from ..accepted import MODEL, OPTIMIZER, burst_settings
from ..apply.apply import plan_for
from ..batches.facts import batch_facts
from ..batches.micro_batches import MicroBatches
from ..burst.burst import Burst
from ..model.wrappers import unwrap
from ..tensors.precision import stuck_share
from .inspect_setup import look_as_is
from .open_gradients import open_gradients


@checked(
    lambda: ("lr", *burst_settings()),
    model=MODEL,
    strategy=STRATEGY_OR_PLAN,
    steps=whole(1, 3).raising(InvalidStrategy),
    as_is=FLAG,
    optimizer=OPTIMIZER,
    open_all=FLAG,
)
def probe(
    model: nn.Module,
    strategy: Strategy | Plan | Mapping[str, object],
    batches: Iterable[Any],
    *,
    steps: int = 3,
    as_is: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
    open_all: bool = False,
    **settings: Any,  # fields of BurstSettings, and lr
) -> ProbeReport:
    """Proves that each part really trains: selected, in the optimizer, gradient arrives, weights move.

    Args:
        model: Left exactly as it is found.
        strategy: What should train.
        batches: Yields micro-batches; as many as ``steps`` need are read.
        steps: Optimizer steps; with LoRA at least 2, since A has no gradient before B has moved.
        as_is: Do not apply the strategy: look at the model as it stands ((frozen, adapted elsewhere)) and compare it
            with the strategy. Gradients are computed, no step is taken.
        optimizer: The optimizer that was built for the model as it stands; implies ``as_is``.
        open_all: Also ask what gradient the frozen parts *would* receive: one backward pass with everything open.
        settings: Of the burst, such as ``precision`` or ``lr``.

    Returns:
        A report that prints; ``ProbeReport.ok``, ``ProbeReport.findings``, ``ProbeReport.links``.

    Raises:
        BadBatch: There are no micro-batches.
        VlmFreezeError: The model cannot be trained at all (on meta, busy), or the strategy names what is not there.
    """
    model = unwrap(model)
    MicroBatches(batches)  # says what is no source of micro-batches
    kept = list(islice(iter(batches), steps * int(settings.get("accumulation", 1))))
    if not kept and not as_is and optimizer is None:
        raise BadBatch(
            "There are no micro-batches to probe with.",
            expected="at least one",
            found="an empty source",
            remedy="Give a list with a batch of the model's own processor; as_is=True looks at a model without one.",
        )
    seen = [b for b in kept if isinstance(b, Mapping)]
    facts_of_batches = batch_facts(model, seen) if seen else None
    if as_is or optimizer is not None:
        facts = look_as_is(model, strategy, seen, optimizer, facts_of_batches)
        steps_taken, verdicts = 0, ()
    else:
        facts, steps_taken, verdicts = _run(model, strategy, kept, steps, facts_of_batches, settings)
    norms: dict[str, float] = {}
    components: dict[str, float] = {}
    if open_all and seen:
        norms = open_gradients(model, next((b for b in seen if batch_facts(model, [b]).label_tokens), seen[0]))
        components = _by_component(norms, facts)
    return ProbeReport(
        steps=steps_taken, verdicts=verdicts, findings=diagnose(facts), links=tuple(facts.links), batches=facts.batches,
        open_norms=norms, _open_components=components,
    )  # fmt: skip


def _run(
    model: nn.Module,
    strategy: Strategy | Plan | Mapping[str, object],
    batches: list[Any],
    steps: int,
    batch: BatchFacts | None,
    settings: Mapping[str, Any],
) -> tuple[Facts, int, tuple[Any, ...]]:
    plan = plan_for(model, strategy)
    if plan.refusals:
        return Facts(plan.tree, (), plan.warnings, batch), 0, ()
    burst = Burst(model, strategy, batches, **{"steps": steps, "verdict_after": steps, "run_folder": False, **settings})
    error = not_finite = ""
    try:
        burst.run()
    except (BadBatch, NonFiniteLoss) as failed:
        error = (
            f"{failed.problem} Found {failed.found}."
            if isinstance(failed, NonFiniteLoss)
            else f"{failed.problem} {failed.found}"
        )
        not_finite = failed.remedy if isinstance(failed, NonFiniteLoss) else ""
        if batch is not None and batch.count == batch.without_labels:
            error = not_finite = ""  # told by the batches themselves
    except NoGradientPath:
        pass  # the links say of what, the diagnosis why
    result = burst.result()
    links = _links(burst, dict(model.named_parameters()))
    changed = [name for verdict in result.verdicts for name in verdict.changed]
    facts = Facts(
        plan.tree,
        links,
        plan.warnings,
        batch,
        stepped=bool(result.history.taken),
        frozen_changed=changed,
        error=error,
        not_finite=not_finite,
    )
    return facts, result.history.taken, result.verdicts


def _links(burst: Burst, base: Mapping[str, torch.Tensor]) -> list[Link]:
    plan, history = burst.plan, burst.history
    layout = history.layout
    trained = burst.trained_values
    rates = {name: group.lr for group in plan.optimizer_groups for name in group.params}
    seen: list[float | None] = [None] * len(layout.names)
    for record in (r for r in history if r.taken):
        for i, norm in enumerate(record.grad_norms.norms):
            if norm is not None:
                seen[i] = max(norm, seen[i] or 0.0)
    links = []
    for i, (name, module, component) in enumerate(zip(layout.names, layout.modules, layout.components, strict=True)):
        start = base.get(name) if name in plan.trainable else None
        now = trained.get(name)
        lr = rates.get(name)
        masters = start is not None and start.dtype in (torch.float16, torch.bfloat16)
        links.append(
            Link(
                name=name,
                module=module,
                component=component,
                intent="full" if start is not None else "lora",
                is_adapter=start is None,
                selected=True,
                lr=lr,
                in_optimizer=name in rates or name.endswith("lora_magnitude_vector"),
                gradient=seen[i],
                moved=_moved(start, now, name) if history.taken else None,
                # With float32 master weights small updates add up; only weights that are stepped in half precision are stuck.
                stuck=stuck_share(start, lr)
                if start is not None and masters and lr and burst.settings.precision == "bf16-pure"
                else None,
            )
        )
    return links


def _moved(start: torch.Tensor | None, now: torch.Tensor | None, name: str) -> float | None:
    if now is None:
        return None
    if start is not None:
        return float((now != start.detach().cpu()).float().mean())
    # B starts at zero; where A started is not kept, and it moves once B has.
    return float((now != 0).float().mean()) if name.endswith("lora_B") else None


def _by_component(norms: Mapping[str, float], facts: Facts) -> dict[str, float]:
    grouped: dict[str, float] = {}
    for name, norm in norms.items():
        component = facts.tree.component_of(name)
        grouped[component] = grouped.get(component, 0.0) + norm * norm
    return {component: square**0.5 for component, square in grouped.items()}
