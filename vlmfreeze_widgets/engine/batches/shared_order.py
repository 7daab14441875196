"""The same batches for several bursts, in an order that the seed draws, however the source is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch

from ...core.errors import BadBatch
from .position import rows_of
from .resize import split_rows

_PARTS = 8  # held-out parts wanted at least: an interval over fewer is too wide to say anything


class Reordered(Sequence[Any]):
    """A sequence of batches in another order; nothing is read before it is asked for.

    Args:
        source: What has a length and is read by number.
        seed: Draws the order.
    """

    def __init__(self, source: Sequence[Any], seed: int) -> None:
        draw = torch.Generator().manual_seed(seed)
        self._source = source
        self._order: list[int] = torch.randperm(len(source), generator=draw).tolist()

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index: Any) -> Any:  # int -> batch, slice -> list of batches
        if isinstance(index, slice):
            return [self._source[i] for i in self._order[index]]
        return self._source[self._order[index]]


class SameBatches:
    """One source, read by several bursts.

    Args:
        source: As of a burst. What has a length is reordered by the seed; a loader draws its own order from the burst's seed; of
            what can be read only once, as many as the run needs are kept.
        needed: Micro-batches of one run.
    """

    def __init__(self, source: Iterable[Any], needed: int) -> None:
        self._source: Iterable[Any] = list(islice(source, needed)) if isinstance(source, Iterator) else source

    def of(self, seed: int) -> Iterable[Any]:
        """What a burst of this seed reads."""
        source = self._source
        if isinstance(source, list | tuple):
            # A list stays a list: a burst need not lead any random numbers while it reads one.
            return list(Reordered(source, seed))
        return Reordered(source, seed) if isinstance(source, Sequence) else source

    def first(self) -> Any:  # a micro-batch, or None of an empty source
        """One of them, to estimate the cost of a step."""
        return next((batch for batch in self._source if batch is not None), None)


def in_parts(batches: Iterable[Any]) -> list[Any]:
    """Held-out batches, divided by rows where they are few, so that the spread over the data can be seen."""
    found = list(batches)
    if not found or len(found) >= _PARTS:
        return found
    rows = sum(rows_of(batch) for batch in found)
    try:
        return list(split_rows(found, max(1, -(-rows // _PARTS))))
    except BadBatch:  # pictures of unequal size: the batches as they are
        return found
