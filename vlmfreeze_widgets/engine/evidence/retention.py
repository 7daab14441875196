"""How much of what the model could do before is still there: loss and KL divergence on text-only probes, against the start.

When it is looked at is decided in ``engine.burst.burst``; before and after in words are ``engine.evidence.answers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ...core.errors import BadBatch
from ...core.history.retention_result import RetentionResult
from ..batches.micro_batch import MicroBatch

Around = Callable[[MicroBatch], AbstractContextManager[Any]]
_TOKENS = 256  # label tokens whose whole distribution is kept: 150 MB of float32 at a vocabulary of 150,000


class Retention:
    """Remembers the model's outputs at the start.

    Args:
        model: With its plan applied and nothing trained yet, at rest.
        batches: Text-only micro-batches with labels.
        device: Of the model.
        shifts: Whether logits at i predict the label at i + 1 (a decoder), or at i (an encoder-decoder).
        at: Around a forward pass: where its logits are computed; see ``LabelPositions.at``.

    Raises:
        BadBatch: The model gives no logits.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[MicroBatch],
        device: torch.device,
        shifts: bool = True,
        at: Around = lambda _: nullcontext(),
    ) -> None:
        self._model, self._batches, self._device, self._shifts, self._at = model, batches, device, shifts, at
        self._start: list[torch.Tensor] = []
        self._start = [log_probs.cpu() for log_probs, _ in self._log_probs()]

    def measure(self) -> RetentionResult:
        """Compares now with the start; the model must be at rest."""
        loss, kl, tokens = 0.0, 0.0, 0
        for before, (now, labels) in zip(self._start, self._log_probs(), strict=True):
            then = before.to(now.device)
            kl += float((then.exp() * (then - now)).sum())
            loss -= float(now.gather(1, labels[:, None]).sum())
            tokens += len(labels)
        return RetentionResult(loss / tokens, max(kl / tokens, 0.0))

    def _log_probs(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Log-probabilities of shape (tokens, vocabulary) and labels of shape (tokens,), per batch."""
        found, left = [], _TOKENS
        with torch.no_grad():
            for batch in self._batches:
                if not left:
                    break
                tensors = batch.to(self._device)
                with self._at(batch) as seen:
                    output = self._model(**tensors)
                logits = getattr(output, "logits", None)
                if not isinstance(logits, torch.Tensor) or logits.dim() != 3:
                    raise BadBatch(
                        "Retention cannot be measured on this model.",
                        expected="an output with .logits of shape (rows, tokens, vocabulary)",
                        found=type(output).__name__,
                        remedy="Leave retention_batches out.",
                    )
                labels = tensors["labels"]
                if seen is not None and seen.is_narrowed:
                    labels = seen.targets.to(logits.device)[:, None]
                elif self._shifts:
                    logits, labels = logits[:, :-1], labels[:, 1:]
                here = labels != -100
                log_probs = logits[here][:left].float().log_softmax(-1)
                found.append((log_probs, labels[here][:left]))
                left -= len(log_probs)
        return found
