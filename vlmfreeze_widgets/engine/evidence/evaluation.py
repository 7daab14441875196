"""Evaluation during a burst: held-out loss, retention, answers, between two steps; it changes nothing.
How each is measured is in ``retention`` and ``answers``; when, in ``engine.burst.burst``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...core.errors import BadBatch
from ...core.history.history import StepRecord
from ...core.history.retention_result import RetentionResult
from ..batches.micro_batch import MicroBatch
from .answers import Question, ask
from .retention import Around, Retention


@dataclass(frozen=True)
class EvalResult:
    """Results of one evaluation; None where nothing was given to evaluate.

    Attributes:
        eval_loss: Mean over the label tokens of all held-out micro-batches.
        retention: Against the start.
        answers: To the questions.
        eval_parts: (mean loss, label tokens) of each held-out micro-batch.
    """

    eval_loss: float | None = None
    retention: RetentionResult | None = None
    answers: tuple[str, ...] | None = None
    eval_parts: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True)
class EvalInputs:
    """What a burst evaluates besides the loss of its steps.

    Attributes:
        eval_batches: Held-out micro-batches.
        retention_batches: Text-only micro-batches, compared with the start.
        questions: ExportRequest before, during and after.
        decode: Token ids of shape (tokens,) -> text.
    """

    eval_batches: tuple[MicroBatch, ...] = ()
    retention_batches: tuple[MicroBatch, ...] = ()
    questions: tuple[Question, ...] = ()
    decode: Callable[[torch.Tensor], str] | None = None

    def __bool__(self) -> bool:
        return bool(self.eval_batches or self.retention_batches or self.questions)


class Evaluator:
    """Evaluates one model, which nothing else may use meanwhile.

    Args:
        eval_inputs: What it is evaluated on.
        model: With its plan applied and nothing trained yet.
        device: Of the model.
        loss_of: The mean loss over a micro-batch's label tokens.
        shifts: Whether logits predict the next token.
        at: Around a forward pass: where its logits are computed; see ``LabelPositions.at``.
    """

    def __init__(
        self,
        eval_inputs: EvalInputs,
        model: nn.Module,
        device: torch.device,
        loss_of: Callable[[MicroBatch], torch.Tensor],
        shifts: bool,
        at: Around,
    ) -> None:
        self._inputs, self._model, self._device, self._loss_of = eval_inputs, model, device, loss_of
        kept = eval_inputs.retention_batches
        self._retention = Retention(model, kept, device, shifts, at) if kept else None

    def evaluate(self) -> EvalResult:
        """Evaluates the model as it is now."""
        eval_inputs = self._inputs
        answers = (
            ask(self._model, eval_inputs.questions, eval_inputs.decode or str, self._device)
            if eval_inputs.questions
            else None
        )
        parts = self._eval_parts()
        return EvalResult(
            eval_loss=sum(loss * n for loss, n in parts) / sum(n for _, n in parts) if parts else None,
            retention=self._retention.measure() if self._retention is not None else None,
            answers=answers,
            eval_parts=parts,
        )

    def _eval_parts(self) -> tuple[tuple[float, int], ...]:
        with torch.no_grad():
            return tuple((float(self._loss_of(batch)), batch.label_tokens) for batch in self._inputs.eval_batches)


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


def non_finite_results(record: StepRecord) -> list[str]:
    """Evaluation results of a step that are not finite, one sentence each; its training loss may be finite all the same."""
    kept = record.retention
    results = {"held-out loss": record.eval_loss, "loss on text alone": kept.loss if kept else None}
    results["KL on text alone"] = kept.kl if kept else None
    return [
        f"The {name} is {value} at step {record.step}."
        for name, value in results.items()
        if value is not None and not math.isfinite(value)
    ]
