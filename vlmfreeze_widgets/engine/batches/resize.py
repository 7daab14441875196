"""The same rows in smaller micro-batches, for memory that is too small: with as much more accumulation a step is the same step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from ...core.errors import BadBatch


def split_rows(source: Iterable[Any], rows: int) -> Iterable[Any]:
    """Micro-batches of at most so many rows, from those of a source, in its order.

    Args:
        source: Micro-batches; a list gives a list of views, anything else is split as it is read.
        rows: Of each piece, at least 1.

    Raises:
        BadBatch: An entry cannot be divided by rows (a list at once, else when it is read).
    """
    if isinstance(source, list | tuple):
        return [piece for batch in source for piece in pieces(batch, rows)]
    return SplitRows(source, rows)


class SplitRows:
    """Splits micro-batches while they are read; shuffling and augmentation stay the source's own."""

    def __init__(self, source: Iterable[Any], rows: int) -> None:
        self._source, self._rows = source, rows
        self.origin = getattr(source, "origin", None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._source:
            yield from pieces(batch, self._rows)


def pieces(batch: Mapping[str, Any], rows: int) -> list[dict[str, Any]]:
    """The pieces of one micro-batch.

    Raises:
        BadBatch: An entry has another number of entries than rows, and nothing says which belong to which.
    """
    labels = batch.get("labels")
    have = int(labels.shape[0]) if isinstance(labels, torch.Tensor) and labels.dim() else 0
    if have <= rows:
        return [dict(batch)]
    return [
        {key: _part(batch, key, value, start, min(start + rows, have), have) for key, value in batch.items()}
        for start in range(0, have, rows)
    ]


def _part(batch: Mapping[str, Any], key: str, value: Any, start: int, stop: int, have: int) -> Any:
    if isinstance(value, list) and len(value) == have:
        return value[start:stop]
    if not isinstance(value, torch.Tensor) or not value.dim():
        return value
    if value.shape[0] == have:
        return value[start:stop]
    grid = batch.get("image_grid_thw")
    if key == "pixel_values" and isinstance(grid, torch.Tensor) and grid.shape[0] == have:
        # Patches of all pictures in one row; with one picture per row its grid says how many are its own.
        ends = [0, *grid.prod(-1).cumsum(0).tolist()]
        if ends[-1] == value.shape[0]:
            return value[ends[start] : ends[stop]]
    raise BadBatch(
        "These micro-batches cannot be divided by rows.",
        expected=f"{have} entries under {key!r}, one per row",
        found=str(value.shape[0]),
        remedy="Make the batches anew with fewer rows (batch_size=... of vf.load_batches, or of your DataLoader).",
    )
