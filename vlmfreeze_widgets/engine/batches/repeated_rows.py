"""A batch of another number of rows, made of the rows of a given one. What is tried with it is in ``batch_size`` and
``smaller_batch``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ...core.errors import BadBatch
from .micro_batch import what_stands_for_labels

Batch = Mapping[str, Any]


def repeat_rows(batch: Batch, rows: int) -> dict[str, Any]:
    """A batch of so many rows, made of the rows of another.

    Args:
        batch: Of a processor; what has several entries per row (patches of pictures) must have equally many for each.
        rows: Wanted.

    Raises:
        BadBatch: An entry cannot be divided by rows.
    """
    labels = batch.get("labels")
    if not isinstance(labels, torch.Tensor):
        raise _cannot("a tensor under 'labels' with one row or more", what_stands_for_labels(batch)[0])
    if labels.dim() < 1 or not labels.shape[0]:
        raise _cannot("a tensor under 'labels' with one row or more", f"one of the shape {tuple(labels.shape)}")
    have = labels.shape[0]
    wanted = torch.arange(rows) % have
    made: dict[str, Any] = {}
    for key, value in batch.items():
        if not isinstance(value, torch.Tensor) or not value.dim():
            made[key] = [value[i] for i in wanted.tolist()] if isinstance(value, list) and len(value) == have else value
            continue
        if value.shape[0] % have:
            raise _cannot(f"a multiple of {have} entries under {key!r}", f"{value.shape[0]}")
        by_row = value.reshape(have, -1, *value.shape[1:]) if value.shape[0] != have else value.unsqueeze(1)
        made[key] = by_row[wanted.to(value.device)].flatten(0, 1)
    return made


def _cannot(expected: str, found: str) -> BadBatch:
    return BadBatch(
        "The rows of this batch cannot be repeated.",
        expected=expected,
        found=found,
        remedy="Give a function that makes a batch of n rows instead of a batch.",
    )
