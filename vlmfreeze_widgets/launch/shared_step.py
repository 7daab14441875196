"""One optimizer step of several processes, equal to the step of one that takes all their micro-batches.

The arithmetic of ``engine.step.training_step``, with the label tokens counted over all processes. DDP and FSDP2 both average
gradients over the processes, so each multiplies its loss by their number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..adapters.accelerate_processes import Processes, own_part
from ..core.errors import NoGradientPath, NonFiniteLoss
from ..engine.apply.master_weights import Masters
from ..engine.batches.micro_batch import MicroBatch, non_finite_inputs
from ..engine.step.loss import model_loss
from ..engine.tensors.norms import clip_by_total
from ..engine.tensors.precision import UpdateMeter


@dataclass(frozen=True)
class SharedStepResult:
    """What one step showed; the same on all processes.

    Attributes:
        loss: Mean over the label tokens of all processes.
        norms: Pre-clip gradient norm per trainable tensor; None where no gradient came.
        grad_norm: Their total.
        stopped: Some process was asked to stop after this step.
        problem: Why the weights did not move; None when they did.
        error: Set where no further step makes sense.
    """

    loss: float
    norms: tuple[float | None, ...]
    grad_norm: float
    stopped: bool
    problem: str | None = None
    error: NonFiniteLoss | None = None


class SharedStep:
    """Takes optimizer steps together with the other processes.

    Args:
        model: As ``Processes.wrap`` gave it.
        masters: The tensors that are optimized, whole or shards.
        optimizer: Holds exactly those.
        processes: This one and the others.
        max_grad_norm: Clipping threshold or None.
        autocast: Makes the context of each forward pass.
        scaler: Scales the loss of a float16 step.
        meter: Measures what updates move; None where every update is held.
    """

    def __init__(
        self,
        model: nn.Module,
        masters: Masters,
        optimizer: torch.optim.Optimizer,
        processes: Processes,
        max_grad_norm: float | None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        scaler: torch.amp.GradScaler | None = None,
        meter: UpdateMeter | None = None,
    ) -> None:
        self._model, self._masters, self._optimizer, self._processes = model, masters, optimizer, processes
        self._max_grad_norm, self._autocast, self._scaler, self._meter = max_grad_norm, autocast, scaler, meter
        self._device = processes.device

    def take(self, batches: Sequence[MicroBatch], number: int, stop: bool) -> SharedStepResult:
        """One step.

        Args:
            batches: The micro-batches of all processes, in the order of the source; each takes every n-th.
            number: Of the step, for messages.
            stop: This process was asked to stop.

        Raises:
            NoGradientPath: The loss depends on nothing that trains.
            BadBatch: The model cannot compute a loss from a batch.
        """
        everything = sum(batch.label_tokens for batch in batches)
        own = batches[self._processes.rank :: self._processes.count]
        self._masters.clear_gradients()
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for i, batch in enumerate(own):
            alone = nullcontext() if i == len(own) - 1 else self._processes.without_sync(self._model)
            share = batch.label_tokens / everything
            with alone, torch.enable_grad():
                with self._autocast():
                    loss = model_loss(self._model, batch, self._device)
                if not loss.requires_grad:
                    raise _no_path(batch)
                part = loss if share == 1 else loss * share
                scaled = part * self._processes.count if self._processes.count > 1 else part
                (scaled if self._scaler is None else self._scaler.scale(scaled)).backward()
            total = total + part.detach()
        self._masters.take_gradients()
        grads = [None if t.grad is None else own_part(t.grad) for t in self._masters.tensors]
        held = [g for g in grads if g is not None]
        if self._scaler is not None and held:
            self._scaler.unscale_(self._optimizer)
        asked, loss_value, norms = self._read(grads, total, stop)
        grad_norm = math.hypot(*(n for n in norms if n is not None))
        shown = SharedStepResult(loss_value, norms, grad_norm, asked)
        if not math.isfinite(loss_value) or not math.isfinite(grad_norm):
            return self._not_taken(shown, number, batches)
        clip_by_total(held, grad_norm, self._max_grad_norm)
        if self._meter is not None:
            self._meter.before()
        self._optimizer.step()
        self._give_values()
        if self._meter is not None:
            self._meter.after()
        if self._scaler is not None:
            self._scaler.update()
        return shown

    def _give_values(self) -> None:
        """As ``Masters.give_values``, part by part: torch copies no lists of shards."""
        pairs = [(p, t) for p, t in zip(self._masters.parameters, self._masters.tensors, strict=True) if t is not p]
        if pairs:
            with torch.no_grad():
                torch._foreach_copy_([own_part(p) for p, _ in pairs], [own_part(t) for _, t in pairs])

    def _read(
        self, grads: Sequence[torch.Tensor | None], loss: torch.Tensor, stop: bool
    ) -> tuple[bool, float, tuple[float | None, ...]]:
        """Stop, loss and norms over all processes: one sum between them, one transfer from the device."""
        numbers = self._squares(grads, torch.float32)
        head = torch.stack([torch.full((), float(stop), dtype=torch.float64, device=self._device), loss])
        if self._processes.sharded:
            asked, loss_value, *values = self._processes.sum(torch.cat([head, numbers])).tolist()
        else:  # the gradients are the same everywhere already
            asked, loss_value, *values = torch.cat([self._processes.sum(head), numbers]).tolist()
        if any(math.isinf(v) for v in values):
            # The square of a gradient of 1e20 overflows float32 though the gradient is finite; seen by all, so all look again.
            again = self._squares(grads, torch.float64)
            values = (self._processes.sum(again) if self._processes.sharded else again).tolist()
        squares, present = values[: len(grads)], values[len(grads) :]
        return asked > 0, loss_value, tuple(math.sqrt(s) if p else None for s, p in zip(squares, present, strict=True))

    def _squares(self, grads: Sequence[torch.Tensor | None], dtype: torch.dtype) -> torch.Tensor:
        """Squared norm of each own gradient, then 1 or 0 for each: whether there is one. Float64, on the device."""
        held = [i for i, g in enumerate(grads) if g is not None]
        found = torch.zeros(2, len(grads), dtype=torch.float64, device=self._device)
        if held:
            norms = torch._foreach_norm([g for g in grads if g is not None], 2, dtype=dtype)
            index = torch.tensor(held, device=self._device)
            found[0, index] = torch.stack([n.to(self._device, torch.float64) for n in norms]) ** 2
            found[1, index] = 1.0
        return found.reshape(-1)

    def _not_taken(self, shown: SharedStepResult, number: int, batches: Sequence[MicroBatch]) -> SharedStepResult:
        self._masters.clear_gradients()
        problem: str | None = None
        if self._scaler is not None and math.isfinite(shown.loss):
            scale = self._scaler.get_scale()
            self._scaler.update()
            if scale > 1:
                problem = f"skipped: gradients overflow float16 at loss scale {scale:g}; it is halved"
        if problem is not None:
            return SharedStepResult(shown.loss, shown.norms, shown.grad_norm, shown.stopped, problem)
        error = _non_finite(number, shown, batches)
        problem = f"{error.problem} Found {error.found}."
        return SharedStepResult(shown.loss, shown.norms, shown.grad_norm, shown.stopped, problem, error)


def _non_finite(number: int, shown: SharedStepResult, batches: Sequence[MicroBatch]) -> NonFiniteLoss:
    # Of all processes: the message that is read is that of the first, and the bad batch may have been another's.
    culprits = [f"{key} of micro-batch {b.index}" for b in batches for key in non_finite_inputs(b)]
    return NonFiniteLoss(
        f"Step {number} was not taken: its numbers are not finite.",
        expected="a finite loss and finite gradients",
        found=f"loss {shown.loss:g} with gradient norm {shown.grad_norm:g}"
        + (f"; NaN or infinity in {culprits[0]}" if culprits else ""),
        remedy="Mend that batch." if culprits else "Lower the learning rate, or compute in fp32.",
    )


def _no_path(batch: MicroBatch) -> NoGradientPath:
    return NoGradientPath(
        "The loss depends on nothing that trains.",
        expected="a gradient path from the loss to at least one trainable tensor",
        found=f"none for micro-batch {batch.index} ({', '.join(map(str, batch.tensors))})",
        remedy="vf.probe(model, strategy, batches) names the cause: no pictures, a layer behind the one that is read, a detach.",
    )
