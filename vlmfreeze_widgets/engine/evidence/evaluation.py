"""What a burst looks at beside the loss of its steps: held-out loss, retention, answers. Each look is taken at rest, between
two steps, and changes nothing. How each is measured is in ``retention`` and ``answers``; when, in ``engine.burst.burst``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...core.errors import BadBatch
from ...core.history.history import StepRecord
from ...core.history.retention_look import RetentionLook
from ..batches.micro_batch import MicroBatch
from .answers import Question, ask
from .retention import Retention


@dataclass(frozen=True)
class Look:
    """What one look showed; None where nothing was asked for.

    Attributes:
        eval_loss: Mean over the label tokens of all held-out micro-batches.
        retention: Against the start.
        answers: To the questions.
        eval_parts: (mean loss, label tokens) of each held-out micro-batch.
    """

    eval_loss: float | None = None
    retention: RetentionLook | None = None
    answers: tuple[str, ...] | None = None
    eval_parts: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True)
class Watched:
    """What is asked for.

    Attributes:
        eval_batches: Held-out micro-batches.
        retention_batches: Text-only micro-batches, compared with the start.
        questions: Asked before, during and after.
        decode: Token ids of shape (tokens,) -> text.
    """

    eval_batches: tuple[MicroBatch, ...] = ()
    retention_batches: tuple[MicroBatch, ...] = ()
    questions: tuple[Question, ...] = ()
    decode: Callable[[torch.Tensor], str] | None = None

    def __bool__(self) -> bool:
        return bool(self.eval_batches or self.retention_batches or self.questions)


class Watcher:
    """Looks at one model; everything must be at rest meanwhile.

    Args:
        watched: What at.
        model: With its plan applied and nothing trained yet.
        device: Of the model.
        loss_of: The mean loss over a micro-batch's label tokens.
        shifts: Whether logits predict the next token.
    """

    def __init__(
        self,
        watched: Watched,
        model: nn.Module,
        device: torch.device,
        loss_of: Callable[[MicroBatch], torch.Tensor],
        shifts: bool,
    ) -> None:
        self._watched, self._model, self._device, self._loss_of = watched, model, device, loss_of
        kept = watched.retention_batches
        self._retention = Retention(model, kept, device, shifts) if kept else None

    def look(self) -> Look:
        """Takes one look."""
        watched = self._watched
        answers = (
            ask(self._model, watched.questions, watched.decode or str, self._device) if watched.questions else None
        )
        parts = self._eval_parts()
        return Look(
            eval_loss=sum(loss * n for loss, n in parts) / sum(n for _, n in parts) if parts else None,
            retention=self._retention.look() if self._retention is not None else None,
            answers=answers,
            eval_parts=parts,
        )

    def _eval_parts(self) -> tuple[tuple[float, int], ...]:
        with torch.no_grad():
            return tuple((float(self._loss_of(batch)), batch.label_tokens) for batch in self._watched.eval_batches)


def decoder(given: Any, questions: Sequence[Question]) -> Callable[[torch.Tensor], str] | None:
    """How answers become text: a callable, a tokenizer, or a processor that has one.

    Raises:
        BadBatch: Questions without any.
    """
    if not questions:
        return None
    tokenizer = getattr(given, "tokenizer", given)
    if hasattr(tokenizer, "decode"):
        return lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True))
    if callable(given):
        return lambda ids: str(given(ids))
    raise BadBatch(
        "Answers cannot be read without a tokenizer.",
        expected="processor=... (a processor, a tokenizer, or a function from ids to text)",
        found=type(given).__name__,
        remedy="Give the model's own processor beside the questions.",
    )


def non_finite_looks(record: StepRecord) -> list[str]:
    """What a step's looks found that is no number, for the person; the training loss may be well all the same."""
    kept = record.retention
    looks = {"held-out loss": record.eval_loss, "loss on text alone": kept.loss if kept else None}
    looks["KL on text alone"] = kept.kl if kept else None
    return [
        f"The {name} is {value} at step {record.step}."
        for name, value in looks.items()
        if value is not None and not math.isfinite(value)
    ]
