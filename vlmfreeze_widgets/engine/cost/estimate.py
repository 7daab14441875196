"""What one training step will cost, before it runs: ``estimate_cost`` joins the arithmetic on the plan with a traced step.

Long because each argument of it is explained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from ...core.arguments import Kind, checked, found_for, is_whole, maybe, whole
from ...core.cost.estimate import CostEstimate, Flops, Moment
from ...core.cost.memory import BYTES, Standing, TrainedTensor, standing, update_bytes
from ...core.cost.plan_memory import adapter_file_bytes, gathered_bytes, weight_bytes
from ...core.errors import BadBatch, BadSource, InvalidStrategy, did_you_mean
from ...core.language.phrase import say
from ...core.shorten import shorten
from ...core.strategy.accepted import STRATEGY_OR_PLAN
from ...core.strategy.plan import Plan
from ...core.strategy.resolve import resolve
from ...core.strategy.strategy import Strategy
from ...core.strategy.text import sentence
from ...core.tree.tree import ModuleTree
from ..accepted import MAYBE_BATCH
from ..apply.master_weights import computed_precision
from ..model.read import read_tree
from ..model.skeleton import on_cpu
from ..model.wrappers import unwrap
from ..settings import BurstSettings
from .bounds import bounds
from .ledger import Alive
from .planned_four_bits import FOUR_BITS, plan_in_four_bits
from .trace import Trace
from .traced_step import Conditions, Traced, made_batch, traced
from .typical_batch import TEXT_TOKENS

_PICTURE = Kind(
    "a side in pixels, (height, width), or None",
    lambda v: (
        v is None
        or is_whole(v, 1)
        or (isinstance(v, list | tuple) and len(v) == 2 and all(is_whole(side, 1) for side in v))
    ),
    "Write, for example, picture_size=336.",
)
_DEVICE = Kind(
    "'cuda' or 'cpu', or None for where the model is",
    lambda v: (
        v is None or (isinstance(v, str | torch.device) and str(v).partition(":")[0] in ("cuda", "cpu", "mps", "xpu"))
    ),
    "Write device='cuda', or leave it out.",
)


@checked(
    strategy=STRATEGY_OR_PLAN,
    picture_size=_PICTURE,
    text_tokens=maybe(whole(1, 256)),
    device=_DEVICE,
)
def estimate_cost(
    source: Any,  # module, config, folder, Hub id or entry of the catalogue
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
    loss_positions: str = "all",
) -> CostEstimate:
    """Estimates memory, operations and files of a training step; nothing is allocated and nothing runs.

    The model's own code is traced once with tensors that have no numbers, and all that it keeps for the backward pass is
    counted, each storage once. Weights, gradients, master weights and the optimizer are arithmetic on the plan.

    Args:
        source: A model (not touched), or whatever ``read_tree`` takes: then no weights are read.
        strategy: What trains, or a plan of this model.
        batch: A micro-batch of the user's own; None: one picture and some text per row.
        rows: Of the typical batch.
        picture_size: Of the typical batch: (height, width) or a side, in pixels.
        text_tokens: Of the typical batch, per row; None: 256.
        dtype: Of the weights, such as "bfloat16", or "nf4" (also "4bit"): the language model in 4 bits and the rest in bfloat16,
            as the loader's "4bit"; None: as they are, or as the checkpoint is published.
        optimizer: "adamw", "adamw8bit", "sgd" or "adafactor".
        checkpointing: As of a burst.
        precision: As of a burst.
        accumulation: Micro-batches per step.
        attention: "sdpa" or "eager"; None: as the model has it.
        loss_positions: As of a burst; "all" is what a trainer does that has no such setting.
        device: "cuda" or "cpu", which keep different tensors; None: the model's own, or "cuda" where there are no weights.

    Returns:
        The estimate. Where the model's code cannot be traced it has ``is_bound`` and says why in ``notes``.

    Raises:
        PlanRefused: The plan cannot be applied.
        BadBatch: The model cannot compute the batch that was given.
        InvalidStrategy: A setting that cannot be meant.
    """
    check_batch(batch, rows)
    BurstSettings(
        optimizer=optimizer,
        checkpointing=checkpointing,
        precision=precision,
        accumulation=accumulation,
        loss_positions=loss_positions,
    )
    model, tree = model_and_tree(source, strategy)
    plan = strategy if isinstance(strategy, Plan) else resolve(_strategy(strategy), tree)
    plan.check()
    in_four_bits, unpacked = dtype in FOUR_BITS, 0
    if in_four_bits:
        (plan, unpacked), dtype = plan_in_four_bits(plan, model), "bfloat16"
    wanted = _dtype(dtype)
    on_gpu = _on_gpu(model, device)
    computed = _precision(model, precision, plan, wanted)
    notes: list[str] = []
    attention = _attention(model, attention, notes)
    conditions = Conditions(wanted, checkpointing, computed, min(accumulation, 2), attention, on_gpu, loss_positions)
    settings = {
        "dtype": "nf4" if in_four_bits else str(wanted or tree.dtype).removeprefix("torch."),
        "precision": computed,
        "optimizer": optimizer,
        "checkpointing": checkpointing,
        "accumulation": accumulation,
        "attention": attention or "as the model has it",
        "device": "cuda" if on_gpu else "cpu",
        "loss_positions": loss_positions,
    }
    named = None if wanted is None else str(wanted).removeprefix("torch.")
    config = getattr(model, "config", None)
    try:
        used = on_cpu(batch) if batch is not None else made_batch(model, rows, picture_size, text_tokens, wanted)
        found = traced(model, plan, used, conditions)
    except BadBatch as error:
        if batch is not None:
            raise
        return bounds(
            plan,
            config,
            settings,
            named,
            (rows, TEXT_TOKENS if text_tokens is None else text_tokens),
            f"{error.problem} (found {shorten(error.found, 200)}).".replace(".).", ")."),
        )
    except Exception as error:
        why = f"{type(error).__name__}: {shorten(error, 200)}"
        return bounds(
            plan,
            config,
            settings,
            named,
            (rows, TEXT_TOKENS if text_tokens is None else text_tokens),
            f"Its code cannot be traced ({why}).",
        )
    settings["loss_positions"] = found.positions.way
    return _estimate(plan, found, settings, named, used, notes, unpacked)


def check_batch(batch: Mapping[str, Any] | None, rows: object) -> None:
    """Refuses what is no micro-batch and no number of rows.

    Raises:
        BadBatch: One of the two.
    """
    MAYBE_BATCH.check("The estimate", "batch", batch)
    empty = next(
        (k for k, v in (batch or {}).items() if isinstance(v, torch.Tensor) and v.dim() and not v.shape[0]), None
    )
    if empty is not None:
        raise BadBatch(
            "This micro-batch has no rows.",
            expected="at least one row",
            found=f"no entries under {empty!r}",
            remedy="Give a batch with rows in it, or leave it out for a typical one.",
        )
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise BadBatch(
            "A micro-batch has at least one row.",
            expected="a whole number from 1 on",
            found=f"rows={found_for(rows)}",
            remedy="Write rows=4 for four pictures with text.",
        )


def _estimate(
    plan: Plan,
    found: Traced,
    settings: Mapping[str, Any],
    dtype: str | None,
    batch: Mapping[str, Any],
    notes: list[str],
    unpacked: int = 0,
) -> CostEstimate:
    trace, tree = found.trace, plan.tree
    held = standing(weight_bytes(tree, dtype), found.tensors, settings["optimizer"], settings["precision"])
    unreached = tuple(t.name for t in found.tensors if not t.is_reached)
    if unreached:
        notes.append(
            say("No gradient reaches {n} tensors that train, such as {name}.", n=len(unreached), name=unreached[0])
        )
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
        timeline=_timeline(held, trace, found.tensors, settings, unpacked),
        standing=held,
        activations=dict(by_component),
        by_module=dict(trace.saved),
        flops=Flops(_flops(tree, trace.flops, "forward"), _flops(tree, trace.flops, "backward")),
        work=trace.work,
        trainable_params=sum(t.params for t in found.tensors),
        unreached=unreached,
        adapter_bytes=adapter_file_bytes(found.tensors),
        checkpoint_bytes=sum(weight_bytes(tree, dtype, buffers=False).values()),
        gathered_bytes=gathered_bytes(tree, dtype),
        notes=tuple(notes),
    )


def _timeline(
    held: Standing, trace: Trace, tensors: tuple[TrainedTensor, ...], settings: Mapping[str, Any], unpacked: int
) -> tuple[Moment, ...]:
    always = {name: held.of(name) for name in ("weights", "adapters", "masters", "optimizer")}

    def moment(name: str, alive: Alive, passing: int = unpacked) -> Moment:
        # A packed weight is put back into half precision for its product, one at a time.
        return Moment(
            name,
            {
                **always,
                "gradients": alive.gradients,
                "activations": alive.saved,
                "logits and loss": alive.loss,
                "temporary": alive.other + passing,
                "batch": trace.batch_bytes,
            },
        )

    passing = update_bytes(tensors, settings["optimizer"], settings["precision"], settings["device"] == "cuda")
    return (
        moment("forward", trace.forward),
        moment("kept", trace.kept, 0),
        moment("backward", trace.backward),
        Moment("update", {**always, "gradients": held.of("gradients"), "temporary": passing + trace.left.other}),
        Moment("between", always),
    )


def _flops(tree: ModuleTree, counted: Mapping[tuple[str, str], int], phase: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (when, path), number in counted.items():
        if when == phase:
            found[tree.component_of(path) if path else "loss"] += number
    return dict(found)


def model_and_tree(source: Any, strategy: object) -> tuple[nn.Module, ModuleTree]:
    """The model (real or on meta) and tree of a source; a plan brings its own tree."""
    if isinstance(source, nn.Module):
        model = unwrap(source)
        return model, strategy.tree if isinstance(strategy, Plan) else read_tree(model)
    if isinstance(source, str):
        return _known(source)
    if isinstance(source, ModuleTree):
        raise BadSource(
            "A tree has no code whose step could be traced.",
            expected="the model, its config, its folder, or its name in the catalogue",
            found=f"the tree of {source.title}",
            remedy="Give what the tree was read from; vf.resolve(strategy, tree) counts parameters without it.",
        )
    from ...adapters.transformers_models import build_on_meta

    built = build_on_meta(source)
    return built.model, read_tree(built.model, title=built.title)


@lru_cache(maxsize=4)
def _known(source: str) -> tuple[nn.Module, ModuleTree]:
    from ...adapters.transformers_models import build_on_meta

    built = build_on_meta(source)
    return built.model, read_tree(built.model, title=built.title)


def _strategy(given: Strategy | Plan | Mapping[str, object]) -> Strategy:
    return given if isinstance(given, Strategy) else Strategy(given)  # type: ignore[arg-type]


def _dtype(given: str | torch.dtype | None) -> torch.dtype | None:
    found = getattr(torch, given, None) if isinstance(given, str) else given
    if given is not None and (not isinstance(found, torch.dtype) or str(found)[6:] not in BYTES):
        raise InvalidStrategy(
            "Weights cannot train in this dtype.",
            expected=f"one of {', '.join([*BYTES, *FOUR_BITS])}",
            found=found_for(given),
            remedy=did_you_mean(str(given), [*BYTES, *FOUR_BITS])
            or "Use dtype='bfloat16', or None for that of the checkpoint.",
        )
    return found


def _on_gpu(model: nn.Module, device: str | None) -> bool:
    if device is not None:
        return not str(device).startswith("cpu")
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
            found=found_for(wanted),
            remedy="Use 'sdpa': its flash kernel keeps what flash_attention_2 keeps.",
        )
    has = getattr(getattr(model, "config", None), "_attn_implementation", None)
    if wanted is None and has not in (None, "sdpa", "eager"):
        notes.append(
            say("Its attention {name} is estimated as 'sdpa', whose flash kernel keeps the same.", name=repr(has))
        )
        return "sdpa"
    return wanted
