"""Rows of tensors -> one micro-batch: texts are padded on the right, pictures are put behind one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch.nn import functional

from ..engine.batches.micro_batch import IGNORED
from .lengths import PER_TOKEN

Tensors = dict[str, torch.Tensor]


def collate(rows: Sequence[Mapping[str, torch.Tensor]], pad_token: int) -> Tensors:
    """One micro-batch.

    Args:
        rows: Of one row each, as the processor makes them; at least one.
        pad_token: Fills ``input_ids``. Labels are filled with -100, everything else with 0.

    Returns:
        Per-token tensors (rows, tokens), pictures as the model wants them: padded to the largest and put behind one
        another; rows without pictures have none, except where the model counts pictures by row (mllama).
    """
    made = [dict(row) for row in rows]
    if any("cross_attention_mask" in row for row in made):
        made = [_with_blank_pictures(row, made) for row in made]
    names = dict.fromkeys(name for row in made for name in row)
    found = {}
    for name in names:
        present = [row[name] for row in made if name in row]
        if name in PER_TOKEN and len(present) < len(made):
            # A kind of mask that a row without pictures does not have: nothing of it is a picture.
            present = [row.get(name, torch.zeros_like(row["input_ids"])) for row in made]
        found[name] = _stacked(present, {"labels": IGNORED, "input_ids": pad_token}.get(name, 0))
    if "aspect_ratio_mask" in found:
        found["aspect_ratio_mask"][:, :, 0] = 1  # as mllama's own processor marks pictures that are not there
    return found


def _stacked(tensors: Sequence[torch.Tensor], fill: int) -> torch.Tensor:
    if any(t.dim() > 1 for t in tensors):
        largest = [max(t.shape[d] for t in tensors) for d in range(1, tensors[0].dim())]
        tensors = [_padded(t, largest, fill) for t in tensors]
    return torch.cat(list(tensors))


def _padded(tensor: torch.Tensor, largest: Sequence[int], fill: int) -> torch.Tensor:
    missing = [want - have for want, have in zip(largest, tensor.shape[1:])]
    if not any(missing):
        return tensor
    # Last dimension first, (before, after) each.
    return functional.pad(tensor, [n for m in reversed(missing) for n in (0, m)], value=fill)


def _with_blank_pictures(row: Tensors, rows: Sequence[Tensors]) -> Tensors:
    """The row, with a blank picture that nothing attends to where it has none."""
    if "cross_attention_mask" in row:
        return row
    model = next(r for r in rows if "cross_attention_mask" in r)
    made = {n: torch.zeros_like(t[:, :1]) for n, t in model.items() if n not in PER_TOKEN}
    mask = model["cross_attention_mask"]
    blank = torch.zeros(1, row["input_ids"].shape[1], 1, mask.shape[3], dtype=mask.dtype)
    return {**row, **made, "cross_attention_mask": blank}
