"""What a plan costs by arithmetic alone, at once: all but activations. Where there is a trace, ``core.cost.estimate`` knows
better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..strategy.plan import Plan
from ..strategy.text import sentence
from ..strategy.tuning import adapter_size
from .estimate import CostEstimate, Flops, Moment
from .memory import TrainedTensor, standing, update_bytes
from .plan_memory import adapter_file_bytes, gathered_bytes, weight_bytes


def trained_tensors(plan: Plan, dtype: str | None, precision: str) -> Iterator[TrainedTensor]:
    """What the optimizer moves, as if a gradient reached all of it; of each adapter A and B as one matrix.

    Args:
        plan: Of its tree.
        dtype: To which weights are converted; None: as they are.
        precision: As of a burst: adapters are float32 but for "bf16-pure".
    """
    tree = plan.tree
    group = {g.component: place for place, g in enumerate(plan.optimizer_groups)}
    for name in sorted(plan.trainable):
        p = tree.by_name[name]
        yield TrainedTensor(p.name, p.component, p.shape, dtype or p.dtype, False, True, group.get(p.component, 0))
    adapters = "bfloat16" if precision == "bf16-pure" else "float32"
    for path, lora in plan.lora_targets.items():
        component, params = tree.component_of(path), adapter_size(tree.by_path[path], lora)
        rank = max(1, lora.rank)
        shape = (rank, params // rank) if params % rank == 0 else (params,)
        yield TrainedTensor(path, component, shape, adapters, True, True, group.get(component, 0))


def standing_cost(
    plan: Plan, settings: Mapping[str, Any], dtype: str | None, rows: int, notes: tuple[str, ...]
) -> CostEstimate:
    """The least that a step takes: weights, adapters, master weights, gradients, optimizer; ``is_bound``.

    Args:
        plan: Of its tree.
        settings: As an estimate keeps them.
        dtype: To which weights are converted; None: as they are.
        rows: Of a micro-batch.
        notes: Why there is no more.
    """
    tree, precision = plan.tree, str(settings["precision"])
    tensors = tuple(trained_tensors(plan, dtype, precision))
    held = standing(weight_bytes(tree, dtype), tensors, settings["optimizer"], precision)
    always = {name: held.of(name) for name in ("weights", "adapters", "masters", "optimizer")}
    passing = update_bytes(tensors, settings["optimizer"], precision, settings["device"] == "cuda")
    update = Moment("update", {**always, "gradients": held.of("gradients"), "temporary": passing})
    return CostEstimate(
        title=tree.title,
        sentence=sentence(plan),
        rows=rows,
        tokens=0,
        settings=dict(settings),
        timeline=(update, Moment("between", always)),
        standing=held,
        activations={},
        by_module={},
        flops=Flops({}, {}),
        work={},
        trainable_params=plan.trainable_params,
        adapter_bytes=adapter_file_bytes(tensors),
        checkpoint_bytes=sum(weight_bytes(tree, dtype, buffers=False).values()),
        gathered_bytes=gathered_bytes(tree, dtype),
        is_bound=True,
        notes=notes,
    )
