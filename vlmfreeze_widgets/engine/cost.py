"""What one training step will cost, before it runs: ``estimate_cost`` joins the arithmetic on the plan with a traced step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from ..core.cost import CostEstimate, Flops, Moment
from ..core.cost_memory import BYTES, Standing, TrainedTensor, standing, update_bytes
from ..core.errors import BadBatch, InvalidStrategy
from ..core.plan import Plan
from ..core.plan_text import sentence
from ..core.ports import port
from ..core.resolve import resolve
from ..core.strategy import Strategy
from ..core.tree import ModuleTree
from .cost_batches import TEXT_TOKENS
from .cost_bounds import most_activations
from .cost_ledger import Alive
from .cost_run import Conditions, Traced, made_batch, traced
from .cost_trace import Trace
from .masters import computed_precision
from .read import read_tree
from .settings import BurstSettings
from .wrappers import unwrap


def estimate_cost(
    source: Any,  # noqa: ANN401 - module, config, folder, Hub id or entry of the catalogue
    strategy: Strategy | Plan | Mapping[str, object],
    batch: Mapping[str, Any] | None = None,
    *,
    rows: int = 1,
    picture_size: int | tuple[int, int] | None = None,
    text_tokens: int | None = None,
    dtype: str | torch.dtype | None = None,
    optimizer: str = "adamw",
    checkpointing: bool | str = False,
    precision: str = "auto",
    accumulation: int = 1,
    attention: str | None = None,
    device: str | None = None,
) -> CostEstimate:
    """Foretells memory, operations and files of a training step; nothing is allocated and nothing runs.

    The model's own code is traced once with tensors that have no numbers, and all that it keeps for the backward pass is
    counted, each storage once. Weights, gradients, masters and the optimizer are arithmetic on the plan.

    Args:
        source: A model (not touched), or whatever ``read_tree`` takes: then no weights are read.
        strategy: What trains, or a plan of this model.
        batch: A micro-batch of the person's own; None: one picture and some text per row.
        rows: Of the typical batch.
        picture_size: Of the typical batch: (height, width) or a side, in pixels.
        text_tokens: Of the typical batch, per row; None: 256.
        dtype: Of the weights, such as "bfloat16"; None: as they are, or as the checkpoint is published.
        optimizer: "adamw", "adamw8bit", "sgd" or "adafactor".
        checkpointing: As of a burst.
        precision: As of a burst.
        accumulation: Micro-batches per step.
        attention: "sdpa" or "eager"; None: as the model has it.
        device: "cuda" or "cpu", which keep different tensors; None: the model's own, or "cuda" where there are no weights.

    Returns:
        The estimate. Where the model's code cannot be traced it has ``is_bound`` and says why in ``notes``.

    Raises:
        PlanRefused: The plan cannot be applied.
        BadBatch: The model cannot compute the batch that was given.
        InvalidStrategy: A setting that cannot be meant.
    """
    BurstSettings(optimizer=optimizer, checkpointing=checkpointing, precision=precision, accumulation=accumulation)
    model, tree = _model_of(source, strategy)
    plan = strategy if isinstance(strategy, Plan) else resolve(_strategy(strategy), tree)
    plan.check()
    wanted = _dtype(dtype)
    on_gpu = _on_gpu(model, device)
    computed = _precision(model, precision, plan, wanted)
    notes: list[str] = []
    attention = _attention(model, attention, notes)
    conditions = Conditions(wanted, checkpointing, computed, min(accumulation, 2), attention, on_gpu)
    settings = {
        "dtype": str(wanted or tree.dtype).removeprefix("torch."),
        "precision": computed,
        "optimizer": optimizer,
        "checkpointing": checkpointing,
        "accumulation": accumulation,
        "attention": attention or "as the model has it",
        "device": "cuda" if on_gpu else "cpu",
    }
    try:
        used = _on_cpu(batch) if batch is not None else made_batch(model, rows, picture_size, text_tokens)
        found = traced(model, plan, used, conditions)
    except BadBatch:
        if batch is not None:
            raise
        return _bound(plan, model, settings, wanted, rows, text_tokens, "No typical batch is known for this model.")
    except Exception as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        return _bound(plan, model, settings, wanted, rows, text_tokens, f"Its code cannot be traced ({why}).")
    return _estimate(plan, found, settings, wanted, used, notes)


def _estimate(
    plan: Plan,
    found: Traced,
    settings: Mapping[str, Any],
    dtype: torch.dtype | None,
    batch: Mapping[str, Any],
    notes: list[str],
) -> CostEstimate:
    trace, tree = found.trace, plan.tree
    held = standing(_weights(tree, dtype), found.tensors, settings["optimizer"], settings["precision"])
    unreached = tuple(t.name for t in found.tensors if not t.is_reached)
    if unreached:
        notes.append(f"No gradient reaches {len(unreached)} tensors that train, such as {unreached[0]}.")
    by_component: Counter[str] = Counter()
    for path, nbytes in trace.saved.items():
        by_component[tree.component_of(path) if path else "loss"] += nbytes
    ids = batch.get("input_ids")
    shape = tuple(ids.shape) if isinstance(ids, torch.Tensor) else (1, 0)
    return CostEstimate(
        title=tree.title,
        sentence=sentence(plan),
        rows=int(shape[0]),
        tokens=int(torch.Size(shape).numel()),
        settings=dict(settings),
        timeline=_timeline(held, trace, found.tensors, settings),
        standing=held,
        activations=dict(by_component),
        by_module=dict(trace.saved),
        flops=Flops(_flops(tree, trace.flops, "forward"), _flops(tree, trace.flops, "backward")),
        work=trace.work,
        trainable_params=sum(t.params for t in found.tensors),
        unreached=unreached,
        adapter_bytes=_adapter_file(found.tensors),
        checkpoint_bytes=sum(_weights(tree, dtype, buffers=False).values()),
        gathered_bytes=_largest_group(tree, dtype),
        notes=tuple(notes),
    )


def _timeline(
    held: Standing, trace: Trace, tensors: tuple[TrainedTensor, ...], settings: Mapping[str, Any]
) -> tuple[Moment, ...]:
    always = {name: held.of(name) for name in ("weights", "adapters", "masters", "optimizer")}

    def moment(name: str, alive: Alive) -> Moment:
        return Moment(
            name,
            {
                **always,
                "gradients": alive.gradients,
                "activations": alive.saved,
                "logits and loss": alive.loss,
                "temporary": alive.other,
                "batch": trace.batch_bytes,
            },
        )

    passing = update_bytes(tensors, settings["optimizer"], settings["precision"], settings["device"] == "cuda")
    return (
        moment("forward", trace.forward),
        moment("kept", trace.kept),
        moment("backward", trace.backward),
        Moment("update", {**always, "gradients": held.of("gradients"), "temporary": passing + trace.left.other}),
        Moment("between", always),
    )


def _bound(
    plan: Plan,
    model: nn.Module,
    settings: Mapping[str, Any],
    dtype: torch.dtype | None,
    rows: int,
    text: int | None,
    why: str,
) -> CostEstimate:
    """What is certain without the model's code, as if a gradient reached all that trains; and an upper limit by rule."""
    tree = plan.tree
    wanted = str(dtype).removeprefix("torch.") if dtype is not None else None
    tensors = [
        TrainedTensor(p.name, p.component, p.shape, wanted or p.dtype, False, True)
        for p in tree.parameters
        if p.name in plan.trainable
    ]
    if plan.adapter_params:
        component = tree.component_of(next(iter(plan.lora_targets)))
        tensors.append(TrainedTensor("adapters", component, (plan.adapter_params,), "float32", True, True))
    held = standing(_weights(tree, dtype), tensors, settings["optimizer"], settings["precision"])
    always = {name: held.of(name) for name in ("weights", "adapters", "masters", "optimizer")}
    update = Moment("update", {**always, "gradients": held.of("gradients")})
    most = most_activations(getattr(model, "config", None), tree, rows, TEXT_TOKENS if text is None else text)
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
        adapter_bytes=_adapter_file(tuple(tensors)),
        checkpoint_bytes=sum(_weights(tree, dtype, buffers=False).values()),
        gathered_bytes=_largest_group(tree, dtype),
        is_bound=True,
        upper_bytes=None if most is None else update.nbytes + most,
        notes=(f"{why} The memory shown is the least, without any activation.",),
    )


def _flops(tree: ModuleTree, counted: Mapping[tuple[str, str], int], phase: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (when, path), number in counted.items():
        if when == phase:
            found[tree.component_of(path) if path else "loss"] += number
    return dict(found)


def _weights(tree: ModuleTree, dtype: torch.dtype | None, buffers: bool = True) -> dict[str, int]:
    width = BYTES[str(dtype).removeprefix("torch.")] if dtype is not None else 0
    found: Counter[str] = Counter()
    for p in tree.parameters:
        if not p.is_alias:
            found[p.component] += p.params * width if width and not p.is_packed else p.nbytes
    for node in tree.nodes if buffers else ():
        if node.own_buffer_bytes:
            found[tree.component_of(node.path)] += node.own_buffer_bytes
    return dict(found)


def _largest_group(tree: ModuleTree, dtype: torch.dtype | None) -> int:
    scale = 1.0 if dtype is None or tree.dtype not in BYTES else BYTES[str(dtype)[6:]] / BYTES[tree.dtype]
    blocks = [child.total_bytes for name in tree.components if (b := tree.blocks(name)) for child in b.children]
    single = [p.nbytes for p in tree.parameters if p.component in ("embeddings", "head")]
    return int(max([*blocks, *single, 0]) * scale)


def _adapter_file(tensors: tuple[TrainedTensor, ...]) -> int:
    """PEFT's file: adapters in float32, and what trains in full beside them as ``modules_to_save``."""
    if not any(t.is_adapter for t in tensors):
        return 0
    return sum(t.nbytes for t in tensors)


def _model_of(source: Any, strategy: object) -> tuple[nn.Module, ModuleTree]:  # noqa: ANN401
    if isinstance(source, nn.Module):
        model = unwrap(source)
        return model, strategy.tree if isinstance(strategy, Plan) else read_tree(model)
    if isinstance(source, str):
        return _known(source)
    built = port("models").build_on_meta(source)
    return built.model, read_tree(built.model, title=built.title)


@lru_cache(maxsize=4)
def _known(source: str) -> tuple[nn.Module, ModuleTree]:
    built = port("models").build_on_meta(source)
    return built.model, read_tree(built.model, title=built.title)


def _strategy(given: Strategy | Plan | Mapping[str, object]) -> Strategy:
    return given if isinstance(given, Strategy) else Strategy(given)  # type: ignore[arg-type]


def _dtype(given: str | torch.dtype | None) -> torch.dtype | None:
    found = getattr(torch, given, None) if isinstance(given, str) else given
    if given is not None and (not isinstance(found, torch.dtype) or str(found)[6:] not in BYTES):
        raise InvalidStrategy(
            "Weights cannot train in this dtype.",
            expected=f"one of {', '.join(BYTES)}",
            found=repr(given)[:60],
            remedy="Use dtype='bfloat16', or None for that of the checkpoint.",
        )
    return found


def _on_gpu(model: nn.Module, device: str | None) -> bool:
    if device is not None:
        return device != "cpu"
    return next((p.device.type for p in model.parameters()), "meta") != "cpu"


def _precision(model: nn.Module, precision: str, plan: Plan, dtype: torch.dtype | None) -> str:
    if dtype is None:
        return computed_precision(model, precision, plan.trainable)
    return "fp16" if precision == "auto" and dtype == torch.float16 else precision


def _attention(model: nn.Module, wanted: str | None, notes: list[str]) -> str | None:
    if wanted not in (None, "sdpa", "eager"):
        raise InvalidStrategy(
            "This attention cannot be traced.",
            expected="'sdpa' or 'eager'",
            found=repr(wanted)[:60],
            remedy="Use 'sdpa': its flash kernel keeps what flash_attention_2 keeps.",
        )
    has = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if wanted is None and has not in (None, "sdpa", "eager"):
        notes.append(f"Its attention {has!r} is estimated as 'sdpa', whose flash kernel keeps the same.")
        return "sdpa"
    return wanted


def _on_cpu(batch: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.detach().cpu() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
