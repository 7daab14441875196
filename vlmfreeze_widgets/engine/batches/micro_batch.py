"""One micro-batch: checked, counted, moved to the device. Reading one after another is in ``engine.batches.micro_batches``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...core.errors import BadBatch
from ...core.shorten import shorten

IGNORED = -100
"""The label that no loss is computed for (PyTorch's ``ignore_index``)."""


@dataclass(frozen=True)
class MicroBatch:
    """One forward and backward pass.

    Attributes:
        index: Position in the source, from 0, for messages.
        tensors: Keyword arguments of the model.
        label_tokens: Tokens that the loss is computed for.
        input_tokens: Tokens that go through the model.
    """

    index: int
    tensors: Mapping[str, Any]
    label_tokens: int
    input_tokens: int

    def to(self, device: torch.device) -> dict[str, Any]:
        """The tensors on a device."""
        return {
            k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in self.tensors.items()
        }


def read_batch(raw: Any, index: int, shifts: bool) -> MicroBatch:  # whatever a source yields
    """Checks a micro-batch and counts its tokens.

    Args:
        raw: A mapping of the model's keyword arguments, with ``labels`` of shape (batch, tokens).
        index: Position in the source, for messages.
        shifts: Whether the model predicts the next token, so that the first label of a row is never used.

    Raises:
        BadBatch: It cannot be trained on.
    """
    if not isinstance(raw, Mapping):
        raise _bad(index, "a mapping of tensors (a dict, a BatchFeature)", type(raw).__name__)
    labels = raw.get("labels")
    if not isinstance(labels, torch.Tensor):
        raise _bad(index, "a tensor under 'labels'", *what_stands_for_labels(raw))
    if labels.dtype != torch.int64 or labels.dim() < 1:
        found = f"{labels.dtype} {tuple(labels.shape)}"
        # torch's cross-entropy takes no other whole numbers, and says so in words that name no batch.
        remedy = "Write labels.long()." if not labels.is_floating_point() and labels.dim() else None
        raise _bad(index, "labels of dtype torch.int64 and shape (batch, tokens)", found, remedy)
    ids = raw.get("input_ids")
    if isinstance(ids, torch.Tensor) and shifts and ids.shape[:2] != labels.shape[:2]:
        raise _bad(index, f"labels of the shape of input_ids, {tuple(ids.shape)}", str(tuple(labels.shape)))
    used = labels[..., 1:] if shifts and labels.dim() > 1 else labels
    tokens = int((used != IGNORED).sum())
    return MicroBatch(index, raw, tokens, ids.numel() if isinstance(ids, torch.Tensor) else labels.numel())


def what_stands_for_labels(raw: Mapping[str, Any]) -> tuple[str, str | None]:
    """What a batch without a tensor under "labels" has instead, and the remedy where it is plain."""
    if raw.get("labels") is None:
        return shorten(f"the keys {', '.join(map(str, raw)) or 'none'}", 120), None
    return f"a {type(raw['labels']).__name__} under 'labels'", "Make a tensor of it: torch.tensor(labels)."


def _bad(index: int, expected: str, found: str, remedy: str | None = None) -> BadBatch:
    return BadBatch(
        f"Micro-batch {index} cannot be trained on.",
        expected=expected,
        found=found,
        remedy=remedy or "A batch holds the model's keyword arguments and labels, with -100 where no loss is wanted.",
    )


def non_finite_inputs(batch: MicroBatch) -> list[str]:
    """Names of tensors of a batch that hold NaN or infinity, for the message of a failed step."""
    return [
        key
        for key, value in batch.tensors.items()
        if isinstance(value, torch.Tensor) and value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
