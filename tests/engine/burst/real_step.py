"""Support: what a real step on the CPU keeps and takes, measured without any of the estimator's code. No tests here."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.strategy.plan import Plan
from vlmfreeze_widgets.engine.apply.activation_checkpointing import enable_checkpointing
from vlmfreeze_widgets.engine.apply.master_weights import MasterWeights
from vlmfreeze_widgets.engine.batches.micro_batch import MicroBatch
from vlmfreeze_widgets.engine.settings import BurstSettings
from vlmfreeze_widgets.engine.step.label_positions import LabelPositions
from vlmfreeze_widgets.engine.step.optimizer import autocast, make_optimizer


class _Kept:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


@dataclass(frozen=True)
class RealStep:
    """What was measured.

    Attributes:
        saved: Component ("loss" outside of every module) -> bytes kept for the backward pass when the forward pass ends,
            each storage once.
        reached: Names of trained tensors with a gradient.
        state_bytes: Of the optimizer, without its step counters.
        master_bytes: Of float32 copies.
        gradient_bytes: At the update.
        peak_bytes: The most that torch's CPU allocator had given out during forward and backward, beyond what was there.
    """

    saved: Mapping[str, int]
    reached: frozenset[str]
    state_bytes: int
    master_bytes: int
    gradient_bytes: int
    peak_bytes: int


def real_step(
    model: nn.Module,
    plan: Plan,
    batch: Mapping[str, Any],
    *,
    checkpointing: bool | str = False,
    precision: str = "auto",
    optimizer: str = "adamw",
    loss_positions: str = "all",
) -> RealStep:
    """Takes two real steps with the burst's own parts and reverts."""
    settings = BurstSettings(checkpointing=checkpointing, precision=precision, optimizer=optimizer)
    # As a burst: autocast is off around the step, which also keeps the copies of weights that autocast made until its end.
    with vf.apply(model, plan) as applied, torch.autocast("cpu", enabled=False):
        if checkpointing:
            enable_checkpointing(model, checkpointing)
            applied.set_training_mode()
        pure = precision == "bf16-pure"
        for trained in (t for t in applied.trainables if pure and t.is_adapter):
            trained.parameter.data = trained.parameter.data.bfloat16()
        masters = MasterWeights([t.parameter for t in applied.trainables], pure)
        stepper = make_optimizer(applied, masters, settings)
        context = autocast(precision, torch.device("cpu"))
        step = _Step(model, batch, context, loss_positions)
        saved = _saved(model, plan, batch, step)
        reached = frozenset(t.name for t in applied.trainables if t.parameter.grad is not None)
        masters.take_gradients()
        gradient_bytes = sum(_bytes(t.grad) for t in masters.tensors if t.grad is not None)
        stepper.step()
        masters.give_values()
        masters.clear_gradients()
        torch.clear_autocast_cache()
        peak = _peak(step)
        return RealStep(
            saved=saved,
            reached=reached,
            state_bytes=sum(
                _bytes(v)
                for s in stepper.state.values()
                for k, v in s.items()
                if isinstance(v, torch.Tensor) and k != "step"
            ),
            master_bytes=sum(_bytes(t) for t, p in zip(masters.tensors, masters.parameters, strict=True) if t is not p),
            gradient_bytes=gradient_bytes,
            peak_bytes=peak,
        )


class _Step:
    """The forward pass of one micro-batch, at the positions that a burst takes."""

    def __init__(self, model: nn.Module, batch: Mapping[str, Any], context: Any, loss_positions: str) -> None:
        self.model, self._context, self._batch = model, context, MicroBatch(0, batch, 1, 1)
        self._positions = LabelPositions(model, loss_positions)
        self._positions.assume()

    def __call__(self) -> torch.Tensor:
        with self._context(), self._positions.at(self._batch):
            loss: torch.Tensor = self.model(**self._batch.tensors).loss
        return loss


def _saved(model: nn.Module, plan: Plan, batch: Mapping[str, Any], step: _Step) -> dict[str, int]:
    given = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers(), *batch.values()]}
    stack: list[str] = [""]
    packed: list[tuple[weakref.ref[_Kept], str]] = []

    def pack(tensor: torch.Tensor) -> _Kept:
        kept = _Kept(tensor.detach() if not tensor.is_leaf else tensor)
        packed.append((weakref.ref(kept), stack[-1]))
        return kept

    def leave(*_: object) -> None:
        stack.pop()

    hooks = []
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, path=path: stack.append(path)))
        hooks.append(module.register_forward_hook(leave, always_call=True))
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
            loss = step()
    finally:
        for hook in hooks:
            hook.remove()
    found: Counter[str] = Counter()
    seen = set(given)
    for kept, path in packed:
        # What an operation had kept for a graph that is gone by now (DoRA's norms) is not there any more.
        if (still := kept()) is None:
            continue
        storage = still.tensor.untyped_storage()
        if storage.data_ptr() not in seen and storage.nbytes():
            seen.add(storage.data_ptr())
            found[plan.tree.component_of(path) if path else "loss"] += storage.nbytes()
    loss.backward()
    return dict(found)


def _peak(step: _Step) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        loss = step()
        loss.backward()
        del loss
    now = most = 0
    events = [e for e in watched.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    for parameter in step.model.parameters():
        parameter.grad = None
    return most


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
