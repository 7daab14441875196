"""One micro-batch of a model's own code on fake tensors: what it keeps, what it computes, where a gradient arrives.

Weights, master weights and the optimizer are arithmetic (``core.cost.memory``); only what the code decides is traced here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...core.cost.roofline import Work
from .ledger import Alive, Ledger
from .trace_mode import TraceMode


@dataclass(frozen=True)
class Trace:
    """What one micro-batch costs beyond weights and optimizer.

    Attributes:
        saved: Module path -> bytes it was the first to keep, of what is kept for the backward pass at the forward's end.
        forward: Alive at the worst moment of the forward pass.
        kept: Alive at its end.
        backward: Alive at the worst moment of the backward pass.
        left: Alive at its end: gradients, and what autocast keeps of weights until the step ends.
        flops: (phase, module path) -> floating point operations.
        work: Operation -> how often it was called.
        reached: Names of the trained parameters that got a gradient.
        batch_bytes: Of the inputs.
        operations: Calls that torch dispatched.
    """

    saved: Mapping[str, int]
    forward: Alive
    kept: Alive
    backward: Alive
    left: Alive
    flops: Mapping[tuple[str, str], int]
    work: Mapping[Work, int]
    reached: frozenset[str]
    batch_bytes: int
    operations: int = 0

    @property
    def saved_bytes(self) -> int:
        """All that is kept for the backward pass, each storage once."""
        return sum(self.saved.values())


def trace_step(
    model: nn.Module,
    trained: Mapping[str, nn.Parameter],
    batch: Mapping[str, Any],
    loss_of: Callable[[], torch.Tensor],
    mode: TraceMode,
    passes: int = 1,
) -> Trace:
    """Traces one forward and backward pass.

    Args:
        model: With its plan; its tensors fake (or real, to measure).
        trained: Its parameters that train, by name.
        batch: What ``loss_of`` feeds to it.
        loss_of: Runs the forward pass.
        mode: Sees the operations; not yet entered.
        passes: Micro-batches; what is reported is the last, which finds the gradients of the others there.
    """
    ledger = mode.ledger
    ledger.give([*model.parameters(), *model.buffers()])
    given = [t for t in batch.values() if isinstance(t, torch.Tensor)]
    ledger.give(given)
    hooks = [p.register_post_accumulate_grad_hook(_marks(ledger)) for p in trained.values()]
    for path, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(_enters(mode, path)))
        hooks.append(module.register_forward_hook(_leaves(mode), always_call=True))
    try:
        for _ in range(passes):
            mode.begin()
            with mode, torch.enable_grad():
                with torch.autograd.graph.saved_tensors_hooks(
                    lambda t: ledger.save(t, mode.path), lambda kept: kept.tensor
                ):
                    loss = loss_of()
                forward, kept = ledger.peak, ledger.alive()
                saved = {path: held for path, held in ledger.saved_by_module.items() if held}
                ledger.begin()
                mode.phase = "backward"
                if loss.requires_grad:
                    _backward(loss)
                del loss
                backward, left = ledger.peak, ledger.alive()
    finally:
        for hook in hooks:
            hook.remove()
    reached = frozenset(name for name, p in trained.items() if p.grad is not None)
    for parameter in trained.values():
        parameter.grad = None
    return Trace(
        saved=saved,
        forward=forward,
        kept=kept,
        backward=backward,
        left=left,
        flops=dict(mode.flops),
        work=dict(mode.work),
        reached=reached,
        batch_bytes=sum(t.numel() * t.element_size() for t in given),
        operations=mode.operations,
    )


def _backward(loss: torch.Tensor) -> None:
    """As ``loss.backward()``; that would switch a function mode off while layers are computed again."""
    run = torch.autograd.Variable._execution_engine.run_backward
    run((loss,), (torch.ones_like(loss),), False, False, (), allow_unreachable=True, accumulate_grad=True)


def _marks(ledger: Ledger) -> Callable[[torch.Tensor], None]:
    def mark(parameter: torch.Tensor) -> None:
        if parameter.grad is not None:
            ledger.mark_gradient(parameter.grad)

    return mark


def _enters(mode: TraceMode, path: str) -> Callable[..., None]:
    def enter(*_: object) -> None:
        mode.enter(path)

    return enter


def _leaves(mode: TraceMode) -> Callable[..., None]:
    def leave(*_: object) -> None:
        mode.leave()

    return leave
