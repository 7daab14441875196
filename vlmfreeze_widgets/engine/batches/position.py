"""How far a source of micro-batches was read, and by what one knows that it is the same source again. Reading is in
``engine.batches.micro_batches``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Position:
    """How far a source of micro-batches was read.

    Attributes:
        read: Micro-batches in all.
        read_of_pass: Since the source last began.
        rows_of_pass: The rows of those.
        rows_per_batch: Of the first micro-batch ever; 0 before.
        last: Digest of the words and labels of the last one; "" where they lie on an accelerator, or before the first.
    """

    read: int = 0
    read_of_pass: int = 0
    rows_of_pass: int = 0
    rows_per_batch: int = 0
    last: str = ""


def digest_of(raw: Any) -> str:  # whatever a source yields
    """Tells two micro-batches apart by their words and labels; pictures may be augmented."""
    found = hashlib.blake2b(digest_size=8)
    for name in ("input_ids", "labels"):
        value = raw.get(name) if isinstance(raw, Mapping) else None
        if not isinstance(value, torch.Tensor) or value.device.type != "cpu" or value.is_floating_point():
            return ""
        found.update(value.contiguous().numpy().tobytes())
    return found.hexdigest()


def rows_of(raw: Any) -> int:  # whatever a source yields
    """How many rows a micro-batch has; 0 of None."""
    if raw is None:
        return 0
    labels = raw.get("labels") if isinstance(raw, Mapping) else None
    return int(labels.shape[0]) if isinstance(labels, torch.Tensor) and labels.dim() else 1
