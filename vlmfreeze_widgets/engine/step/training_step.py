"""One optimizer step: forward and backward over its micro-batches, norms, clipping, update. The loop is in ``engine.burst.burst``.

Token-correct: the loss is the mean over all label tokens of the step, however they are spread over micro-batches (the naive
mean of means is off by 17.6 % in the gradient on ragged labels; transformers#34191).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ...core.errors import NoGradientPath, NonFiniteLoss
from ...core.history.update_norms import UpdateNorms
from ..apply.master_weights import Masters
from ..batches.micro_batch import MicroBatch, non_finite_inputs
from ..tensors.norms import clip_by_total, read_norms
from ..tensors.precision import UpdateMeter
from ..tensors.update_ratio import UpdateRatio
from .interrupt_shield import SteadyHand
from .loss import model_loss
from .rollback import StepUndo


@dataclass(frozen=True)
class StepResult:
    """What one step showed.

    Attributes:
        loss: Mean over the label tokens.
        norms: Pre-clip gradient norm per trainable tensor, without the loss scale; None where no gradient came.
        grad_norm: Their total.
        problem: Why the weights did not move; None when they did.
        error: Set where no further step makes sense.
        interrupt: Ctrl-C came while the weights moved; they are at the end of this step.
        updates: How far each tensor moved; None where that was not measured.
    """

    loss: float
    norms: tuple[float | None, ...]
    grad_norm: float
    problem: str | None = None
    error: NonFiniteLoss | None = None
    interrupt: KeyboardInterrupt | None = None
    updates: UpdateNorms | None = None


class TrainingStep:
    """Takes optimizer steps on one model.

    Args:
        model: With its plan applied.
        masters: The tensors that are optimized.
        optimizer: Holds exactly those.
        max_grad_norm: Clipping threshold or None.
        autocast: Makes the context of each forward pass.
        device: Where the batches go.
        scaler: Scales the loss of a float16 step.
        meter: Measures what updates move; None where every update is held.
        hand: Moves the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        masters: Masters,
        optimizer: torch.optim.Optimizer,
        max_grad_norm: float | None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        device: torch.device | None = None,
        scaler: torch.amp.GradScaler | None = None,
        meter: UpdateMeter | None = None,
        hand: SteadyHand | None = None,
    ) -> None:
        self._model = model
        self._masters = masters
        self._optimizer = optimizer
        self._max_grad_norm = max_grad_norm
        self._autocast = autocast
        self._device = device or torch.device("cpu")
        self._scaler = scaler
        self._meter = meter
        self.ratio: UpdateRatio | None = None
        """Measures the next step when it is set."""
        self._updates: UpdateNorms | None = None
        self._hand = hand or SteadyHand(self._device)
        self._undo = StepUndo(masters.tensors)
        self.moving = False
        """Whether weights are being moved right now; stays True when an error came meanwhile."""

    def take(self, batches: Sequence[MicroBatch], stopped: Callable[[], bool], number: int) -> StepResult | None:
        """One step over its micro-batches; None when it was stopped between two of them (then nothing changed).

        Where loss or gradients are NaN or infinite the weights stay those of the step before, and the result says so.

        Raises:
            NoGradientPath: The loss depends on nothing that trains.
            BadBatch: The model cannot compute a loss from a batch.
        """
        try:
            return self._take(batches, stopped, number)
        except BaseException:
            self._masters.clear_gradients()
            raise

    def _take(self, batches: Sequence[MicroBatch], stopped: Callable[[], bool], number: int) -> StepResult | None:
        tokens = sum(batch.label_tokens for batch in batches)
        self._masters.clear_gradients()
        total = torch.zeros((), device=self._device)
        for batch in batches:
            if stopped():
                self._masters.clear_gradients()
                return None
            share = batch.label_tokens / tokens
            with torch.enable_grad():
                loss = self.loss_of(batch)
                if not loss.requires_grad:
                    raise _no_path(batch)
                # A share of 1 is left out, so that one micro-batch per step is bit-identical to a plain loop.
                part = loss if share == 1 else loss * share
                (part if self._scaler is None else self._scaler.scale(part)).backward()
            total = total + part.detach().to(self._device, torch.float32)  # a model on several devices ends on the last
        if stopped():
            self._masters.clear_gradients()
            return None
        self._masters.take_gradients()
        with_gradient = [i for i, t in enumerate(self._masters.tensors) if t.grad is not None]
        grads = [g for i in with_gradient if (g := self._masters.tensors[i].grad) is not None]
        if self._scaler is not None and grads:
            self._scaler.unscale_(self._optimizer)
        read, (loss_value,) = read_norms(grads, total)
        grad_norm = math.hypot(*read)
        norms: list[float | None] = [None] * len(self._masters.tensors)
        for i, norm in zip(with_gradient, read, strict=True):
            norms[i] = norm
        shown = StepResult(loss_value, tuple(norms), grad_norm)
        if not math.isfinite(loss_value) or not math.isfinite(grad_norm):
            return self._not_taken(shown, number, batches)
        clip_by_total(grads, grad_norm, self._max_grad_norm)
        interrupt = self._hand.do(self._move)
        return replace(shown, interrupt=interrupt, updates=self._updates)

    def _move(self) -> None:
        self.moving = True
        if self._meter is not None:
            self._meter.before()
        if self.ratio is not None:
            self.ratio.before()
        self._undo.keep()
        try:
            self._optimizer.step()
            self._updates = self.ratio.after() if self.ratio is not None else None
            self._masters.give_values()
        except Exception:
            if self._undo.put_back():
                self._masters.give_values()
                self.moving = False
            raise
        self._undo.forget()
        if self._meter is not None:
            self._meter.after()
        if self._scaler is not None:
            self._scaler.update()
        self.moving = False

    def _not_taken(self, shown: StepResult, number: int, batches: Sequence[MicroBatch]) -> StepResult:
        self._masters.clear_gradients()
        if self._scaler is not None and math.isfinite(shown.loss):
            # Gradients too large for float16 at this scale: half of it may do. Below 1 the scale is not to blame.
            scale = self._scaler.get_scale()
            self._scaler.update()
            if scale > 1:
                return replace(
                    shown, problem=f"skipped: gradients overflow float16 at loss scale {scale:g}; it is halved"
                )
        error = _non_finite(number, shown.loss, shown.grad_norm, batches)
        return replace(shown, problem=f"{error.problem} Found {error.found}.", error=error)

    def loss_of(self, batch: MicroBatch) -> torch.Tensor:
        """The model's own loss on one micro-batch, in the burst's precision: the mean over its label tokens."""
        # Within a cell's autocast the cache of cast weights outlives the step, and the weights in it are of before.
        torch.clear_autocast_cache()
        with self._autocast():
            return model_loss(self._model, batch, self._device)


def _non_finite(number: int, loss: float, grad_norm: float, batches: Sequence[MicroBatch]) -> NonFiniteLoss:
    culprits = [f"{key} of micro-batch {b.index}" for b in batches for key in non_finite_inputs(b)]
    what = f"loss {loss:g}" if not math.isfinite(loss) else f"loss {loss:g} with gradient norm {grad_norm:g}"
    return NonFiniteLoss(
        f"Step {number} was not taken: its numbers are not finite.",
        expected="a finite loss and finite gradients",
        found=f"{what}{f'; NaN or infinity in {culprits[0]}' if culprits else ''}",
        remedy=(
            "Mend that batch."
            if culprits
            else "Lower the learning rate, or compute in fp32. The weights are those of the step before."
        ),
    )


def _no_path(batch: MicroBatch) -> NoGradientPath:
    return NoGradientPath(
        "The loss depends on nothing that trains.",
        expected="a gradient path from the loss to at least one trainable tensor",
        found=f"none for micro-batch {batch.index} ({', '.join(map(str, batch.tensors))})",
        remedy="vf.probe(model, strategy, batches) names the cause: no pictures, a layer behind the one that is read, a detach.",
    )
