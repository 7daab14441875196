"""One optimizer step: forward and backward over its micro-batches, norms, clipping, update. The loop is in ``engine.burst.loop``,
and that of several processes, which take this same step together, in ``launch.run``.

Token-correct: the loss is the mean over all label tokens of the step, however they are spread over micro-batches and processes
(the naive mean of means is off by 17.6 % in the gradient on ragged labels; transformers#34191).

Long because the phases of a step must be read in one go.
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
from ..apply.master_weights import MasterWeights
from ..batches.micro_batch import MicroBatch, non_finite_inputs
from ..tensors.norms import clip_by_total, read_norms, read_norms_of_shards
from ..tensors.precision import UpdateMeter
from ..tensors.reduction import ONE_PROCESS, Reduction
from ..tensors.update_ratio import UpdateRatio
from ..tensors.widest import widest
from .interrupt_shield import InterruptShield
from .label_positions import LabelPositions
from .loss import model_loss
from .rollback import StepUndo


@dataclass(frozen=True)
class StepResult:
    """What one step showed; the same on all processes that took it.

    Attributes:
        loss: Mean over the label tokens, in nats.
        norms: Pre-clip gradient norm per trainable tensor, without the loss scale; None where no gradient came.
        grad_norm: Their total.
        problem: Why the weights did not move; None when they did.
        error: Set where no further step makes sense.
        interrupt: Ctrl-C came while the weights moved; they are at the end of this step.
        updates: How far each tensor moved; None where that was not measured.
        is_last: Some process asked that no step follow.
    """

    loss: float
    norms: tuple[float | None, ...]
    grad_norm: float
    problem: str | None = None
    error: NonFiniteLoss | None = None
    interrupt: KeyboardInterrupt | None = None
    updates: UpdateNorms | None = None
    is_last: bool = False


class TrainingStep:
    """Takes optimizer steps on one model.

    Args:
        model: With its plan applied; of several processes, as it is wrapped for them.
        masters: The tensors that are optimized, whole or shards.
        optimizer: Holds exactly those.
        max_grad_norm: Clipping threshold or None.
        autocast: Makes the context of each forward pass.
        device: Where the batches go.
        scaler: Scales the loss of a float16 step.
        meter: Measures what updates move; None where every update is held.
        hand: Moves the weights.
        together: The processes that take each step together.
        positions: Where the logits of a loss are computed; None: everywhere.
    """

    def __init__(
        self,
        model: nn.Module,
        masters: MasterWeights,
        optimizer: torch.optim.Optimizer,
        max_grad_norm: float | None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        device: torch.device | None = None,
        scaler: torch.amp.GradScaler | None = None,
        meter: UpdateMeter | None = None,
        hand: InterruptShield | None = None,
        together: Reduction = ONE_PROCESS,
        positions: LabelPositions | None = None,
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
        self._shield = hand or InterruptShield(self._device)
        self._together = together
        self._positions = positions
        self._undo = StepUndo(masters.tensors, together)
        self.moving = False
        """Whether weights are being moved right now; stays True when an error came meanwhile."""

    def take(
        self, batches: Sequence[MicroBatch], stopped: Callable[[], bool], number: int, is_last: bool = False
    ) -> StepResult | None:
        """One step over its micro-batches; None when it was stopped between two of them (then nothing changed).

        Where loss or gradients are NaN or infinite the weights stay those of the step before, and the result says so.

        Args:
            batches: The micro-batches of the step, of all processes, in the order of the source.
            stopped: Whether to break off. Of several processes none may, since the others would wait for it.
            number: Of the step, for messages.
            is_last: This process asks that no step follow; the result tells all of them whether one did.

        Raises:
            NoGradientPath: The loss depends on nothing that trains.
            BadBatch: The model cannot compute a loss from a batch.
        """
        try:
            return self._take(batches, stopped, number, is_last)
        except BaseException:
            self._masters.clear_gradients()
            raise

    def _take(
        self, batches: Sequence[MicroBatch], stopped: Callable[[], bool], number: int, is_last: bool
    ) -> StepResult | None:
        together = self._together
        tokens = sum(batch.label_tokens for batch in batches)  # of the whole step; a micro-batch weighs as its share
        own = batches[together.rank :: together.count]
        self._masters.clear_gradients()
        # In float64 where the device has it, so that the mean is the same to the last digit shown, however many add to it.
        total = torch.zeros((), dtype=(wide := widest(self._device)), device=self._device)
        for i, batch in enumerate(own):
            if stopped():
                self._masters.clear_gradients()
                return None
            share = batch.label_tokens / tokens  # 0 to 1
            exchanged = nullcontext() if i == len(own) - 1 else together.without_sync(self._model)
            with exchanged, torch.enable_grad():
                # Forward: input_ids (rows, tokens) and pixels as the processor makes them -> (), nats per label token of the batch.
                loss = self.loss_of(batch)
                if not loss.requires_grad:
                    raise _no_path(batch)
                # A share of 1 is left out, so that one micro-batch per step is bit-identical to a plain loop.
                part = loss if share == 1 else loss * share
                # Backward: adds d(part)/d(tensor) to .grad of what trains, in its shape and dtype; averaged over processes.
                summed = part if together.count == 1 else part * together.count
                (summed if self._scaler is None else self._scaler.scale(summed)).backward()
            total = total + part.detach().to(self._device, wide)  # a model on several devices ends on the last
        if stopped():
            self._masters.clear_gradients()
            return None
        # Gradients: float32 for the master weights of half-precision parameters, without the loss scale.
        self._masters.take_gradients()
        grads = [None if t.grad is None else together.own_part(t.grad) for t in self._masters.tensors]
        held = [g for g in grads if g is not None]
        if self._scaler is not None and held:
            self._scaler.unscale_(self._optimizer)
        # Loss and norms: one number per tensor, L2 over its elements before clipping. The step's only wait for the device.
        stop_flag = torch.full((), float(is_last), dtype=wide, device=self._device)
        norms, (ends, loss_value) = self._read(grads, together.sum(torch.stack([stop_flag, total])))
        grad_norm = math.hypot(*(n for n in norms if n is not None))
        shown = StepResult(loss_value, norms, grad_norm, is_last=ends > 0)
        if not math.isfinite(loss_value) or not math.isfinite(grad_norm):
            return self._not_taken(shown, number, batches)
        # Clip: all gradients by one factor, so that their total norm is at most max_grad_norm.
        clip_by_total(held, grad_norm, self._max_grad_norm)
        # Step: the optimizer moves the master weights, the model gets them rounded to its dtype.
        interrupt = self._shield.do(self._move)
        return replace(shown, interrupt=interrupt, updates=self._updates)

    def _read(
        self, grads: Sequence[torch.Tensor | None], extra: torch.Tensor
    ) -> tuple[tuple[float | None, ...], list[float]]:
        """The norm of each gradient, None where there is none, and the numbers of ``extra``, in one transfer."""
        if self._together.is_sharded:
            return read_norms_of_shards(grads, self._together, extra)
        read, rest = read_norms([g for g in grads if g is not None], extra)
        values = iter(read)
        return tuple(None if g is None else next(values) for g in grads), rest

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
            if self._undo.restore():
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
        narrow = nullcontext() if self._positions is None else self._positions.at(batch)
        with self._autocast(), narrow:
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
