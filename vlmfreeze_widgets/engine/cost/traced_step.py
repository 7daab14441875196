"""One traced step of a copy of the model under a plan, with the batch, and what was traced before. ``engine.cost.estimate``
makes the estimate of it.

Traces are kept by what decides them: the model's structure, what trains (not at which rate), the batch's shapes and integers,
and how it is computed. Toggling back and forth therefore costs no second trace.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ...core.cost.memory import TrainedTensor
from ...core.evidence.loss_positions import LossPositions
from ...core.strategy.plan import Plan
from ..apply.modes import rest_all
from ..batches.micro_batch import MicroBatch
from ..step.label_positions import LabelPositions, NeedsAllPositions
from ..step.loss import model_loss
from .attention import GpuAttention
from .fake_model import fake_copy, put_plan
from .ledger import Ledger
from .random_ledger import counted_states
from .trace import Trace, trace_step
from .trace_mode import TraceMode
from .typical_batch import typical_batch

_KEPT = 256
_GPU_BLOCK = 512  # torch's CUDA allocator rounds every tensor up to this
_AUTOCAST = {"bf16-mixed": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Conditions:
    """How a step is computed, beside model and plan.

    Attributes:
        dtype: Of the weights; None: as they are.
        checkpointing: As of a burst.
        precision: What ``master_weights.computed_precision`` made of it.
        passes: Micro-batches traced: 2 where gradients accumulate.
        attention: "sdpa", "eager", or None: as the model has it.
        on_gpu: Take a GPU's attention kernels, autocast lists and allocation.
        loss_positions: As of a burst.
    """

    dtype: torch.dtype | None
    checkpointing: bool | str
    precision: str
    passes: int
    attention: str | None
    on_gpu: bool
    loss_positions: str = "all"


@dataclass(frozen=True)
class Traced:
    """What a trace found out.

    Attributes:
        trace: Of the step.
        tensors: That train.
        positions: Where the loss was computed, and why.
    """

    trace: Trace
    tensors: tuple[TrainedTensor, ...]
    positions: LossPositions


_traces: OrderedDict[str, Traced] = OrderedDict()


def traced(model: nn.Module, plan: Plan, batch: Mapping[str, Any], conditions: Conditions) -> Traced:
    """A trace of the step; at once where the same was traced before.

    Args:
        model: Real or on meta; not touched.
        plan: Of its tree.
        batch: Keyword arguments of the model, on the CPU.
        conditions: Of the computation.
    """
    key = _key(model, plan, batch, conditions)
    found = _traces.pop(key, None)
    if found is None:
        try:
            found = _trace(model, plan, batch, conditions)
        except NeedsAllPositions:
            found = _trace(model, plan, batch, replace(conditions, loss_positions="all"))
    _traces[key] = found
    while len(_traces) > _KEPT:
        _traces.popitem(last=False)
    return found


def made_batch(
    model: nn.Module,
    rows: int,
    picture: int | tuple[int, int] | None,
    text: int | None,
    dtype: torch.dtype | None = None,
) -> dict[str, Any]:
    """A typical batch for a model, its pictures in the model's dtype; see ``engine.cost.typical_batch``."""
    fakes = FakeTensorMode()
    copied: list[nn.Module] = []

    def features(pictures: Mapping[str, Any]) -> Any:  # the output of get_image_features
        if not copied:
            copied.append(fake_copy(model, fakes, dtype))
            rest_all(copied[0])
        whole: Any = copied[0]
        ask = getattr(getattr(whole, "model", whole), "get_image_features", None) or whole.get_image_features
        with _quietly(), TraceMode(fakes, Ledger()), torch.no_grad():
            return ask(**pictures)

    floating = dtype or next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    return typical_batch(model, features, rows, picture, text, floating)


def _trace(model: nn.Module, plan: Plan, batch: Mapping[str, Any], conditions: Conditions) -> Traced:
    fakes = FakeTensorMode()
    copied = fake_copy(model, fakes, conditions.dtype)
    if conditions.attention is not None and hasattr(copied, "set_attn_implementation"):
        cast(Any, copied).set_attn_implementation(conditions.attention)
    adapters = torch.bfloat16 if conditions.precision == "bf16-pure" else torch.float32
    with _quietly():
        trained = put_plan(copied, plan, fakes, conditions.checkpointing, adapters)
        for part in copied.modules() if conditions.checkpointing else ():
            # transformers does the same in its forward, and says so each time.
            if getattr(getattr(part, "config", None), "use_cache", False):
                cast(Any, part).config.use_cache = False
        one = MicroBatch(0, batch, 1, 1)
        positions = LabelPositions(copied, conditions.loss_positions)
        positions.assume()
        mode = TraceMode(fakes, Ledger(_GPU_BLOCK if conditions.on_gpu else 1), on_gpu=conditions.on_gpu)

        def loss_of() -> torch.Tensor:
            with _autocast(conditions.precision), positions.at(one) as narrow:
                loss = model_loss(copied, one, torch.device("cpu"))
            if narrow is not None and not narrow.holds(loss):
                raise NeedsAllPositions
            return loss

        where: AbstractContextManager[Any] = GpuAttention() if conditions.on_gpu else counted_states(mode.ledger)
        # Neither a cell's autocast nor its random numbers have a part in this.
        with torch.random.fork_rng(devices=[]), torch.autocast("cpu", enabled=False), where:
            trace = trace_step(copied, trained, batch, loss_of, mode, conditions.passes)
    assert positions.found is not None
    return Traced(trace, tuple(_described(plan, trained, trace)), positions.found)


def _described(plan: Plan, trained: Mapping[str, nn.Parameter], trace: Trace) -> Iterator[TrainedTensor]:
    groups = {name: place for place, group in enumerate(plan.optimizer_groups) for name in group.params}
    components = {group.component: place for place, group in enumerate(plan.optimizer_groups)}
    for name, parameter in trained.items():
        owner = name if name in plan.trainable else name.rpartition(".")[0]
        component = plan.tree.component_of(owner)
        yield TrainedTensor(
            name=name,
            component=component,
            shape=tuple(parameter.shape),
            dtype=str(parameter.dtype).removeprefix("torch."),
            is_adapter=name not in plan.trainable,
            is_reached=name in trace.reached,
            group=groups.get(name, components.get(component, 0)),
        )


def _autocast(precision: str) -> AbstractContextManager[Any]:
    dtype = _AUTOCAST.get(precision)
    return nullcontext() if dtype is None else torch.autocast("cpu", dtype)


@contextmanager
def _quietly() -> Iterator[None]:
    """What a library warns about while a copy runs on fake numbers is not about the user's run."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def _key(model: nn.Module, plan: Plan, batch: Mapping[str, Any], conditions: Conditions) -> str:
    config = getattr(model, "config", None)
    digest = hashlib.blake2b(digest_size=16)

    def add(*values: object) -> None:
        digest.update(repr(values).encode())

    add(type(model).__qualname__, conditions, getattr(config, "_attn_implementation", None))
    digest.update((str(config) if config is not None else repr(model)).encode())
    for p in plan.tree.parameters:
        add(p.name, p.shape, p.dtype, p.owner)
    add(sorted(plan.trainable), sorted(plan.lora_targets.items()))
    add([(g.component, len(g.params)) for g in plan.optimizer_groups])
    for name, value in sorted(batch.items()):
        if isinstance(value, torch.Tensor):
            add(name, tuple(value.shape), value.dtype)
            if not value.is_floating_point():
                digest.update(value.contiguous().numpy().tobytes())
        else:
            add(name, value)
    return digest.hexdigest()
