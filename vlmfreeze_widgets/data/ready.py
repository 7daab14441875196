"""Batches made elsewhere: checked, counted, passed through as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from ..core.errors import BadData
from ..core.source_length import length_of
from ..engine.batches.micro_batch import IGNORED, MicroBatch, non_finite_inputs
from .any_batches import Batches, html_of, text_of
from .collate import Tensors
from .preview import RowPreview, RowPreviews, token_spans
from .report import BatchCounts, LoadReport
from .rows import Dropped, Place


def is_ready(first: Any) -> bool:  # whatever a source yields first
    """Whether a source yields batches rather than rows."""
    return isinstance(first, Mapping) and any(isinstance(value, torch.Tensor) for value in first.values())


class ReadyBatches(Batches):
    """Ready batches, read again from the start each time; one that cannot be trained on is listed and left out.

    Args:
        source: A list, a DataLoader, or anything that can be iterated again.
        limit: At most so many batches.
        tokenizer: Writes the tokens of the preview, if there is one.

    Raises:
        BadData: Not one of them can be trained on.
    """

    __repr__ = text_of
    _repr_html_ = html_of

    def __init__(self, source: Iterable[Any], limit: int | None, tokenizer: Any = None) -> None:
        self._source = source
        self._limit = limit
        self._tokenizer = tokenizer
        self._counts: dict[int, BatchCounts] = {}
        self._dropped: dict[int, Dropped] = {}
        self._complete = False
        self._size = length_of(source)
        if next(iter(self), None) is None:
            raise BadData(
                "Not one batch can be trained on.",
                expected="dicts of tensors with labels other than -100",
                found=str(next(iter(self._dropped.values()), "no batches")),
                remedy="Give the model's keyword arguments with labels, or rows and a processor.",
            )

    def __iter__(self) -> Iterator[Tensors]:
        """The batches that can be trained on, as they came."""
        number = -1
        for number, batch in enumerate(self._source):
            if number == self._limit:
                break
            reason = problem(batch)
            if reason:
                self._dropped[number] = Dropped(Place("batches", 0, number), "batch", reason)
                continue
            self._counts[number] = _counts(batch)
            yield batch
        self._complete = True
        self._size = len(self._counts) + len(self._dropped)

    def __len__(self) -> int:
        if self._size is None:
            for _ in self:
                pass
        size = self._size or 0
        return (size if self._limit is None else min(size, self._limit)) - len(self._dropped)

    @property
    def report(self) -> LoadReport:
        """What became of the batches so far; a row here is a row of a batch."""
        rows = sum(c.rows for c in self._counts.values())
        return LoadReport(
            rows_read=rows,
            rows_kept=rows,
            complete=self._complete,
            dropped=tuple(self._dropped.values()),
            reasons={"batch": len(self._dropped)} if self._dropped else {},
            batches=tuple(self._counts[i] for i in sorted(self._counts)),
            notes=("batches with labels, passed through as they are",),
        )

    def preview(self, n: int = 4) -> RowPreviews:
        """The first ``n`` rows; without pictures, which are tensors already."""
        found: list[RowPreview] = []
        for number, batch in enumerate(self):
            ids, labels, mask = batch.get("input_ids"), batch["labels"], batch.get("attention_mask")
            if ids is None or ids.shape != labels.shape:
                return RowPreviews(tuple(found))
            for row in range(ids.shape[0]):
                if len(found) == n:
                    return RowPreviews(tuple(found))
                spans = token_spans(
                    ids[row], labels[row], None if mask is None else mask[row], self._tokenizer, image_token=None
                )
                text = "".join(span.text for span in spans)
                found.append(RowPreview(Place(f"batch {number}", 0, row), text, spans))
        return RowPreviews(tuple(found))


def problem(batch: Any) -> str:  # whatever a source yields
    """Why a batch cannot be trained on, "" where it can."""
    if not isinstance(batch, Mapping):
        return f"a {type(batch).__name__}, not a dict of tensors"
    labels, ids = batch.get("labels"), batch.get("input_ids")
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.dim() < 1:
        return "no whole-number tensor under 'labels'"
    if isinstance(ids, torch.Tensor) and ids.shape[:1] != labels.shape[:1]:
        return f"labels of shape {tuple(labels.shape)} for input_ids of shape {tuple(ids.shape)}"
    if not bool((labels != IGNORED).any()):
        return "every label is -100"
    bad = non_finite_inputs(MicroBatch(0, batch, 0, 0))
    return f"NaN or infinity in {', '.join(bad)}" if bad else ""


def _counts(batch: Mapping[str, Any]) -> BatchCounts:
    labels, ids = batch["labels"], batch.get("input_ids")
    mask = batch.get("attention_mask")
    tokens = (
        int(mask.sum())
        if isinstance(mask, torch.Tensor) and mask.dim() == 2
        else (ids if ids is not None else labels).numel()
    )
    grid, pixels = batch.get("image_grid_thw"), batch.get("pixel_values")
    pictures = len(grid) if grid is not None else (len(pixels) if pixels is not None else 0)
    used = labels[:, 1:] if labels.dim() > 1 else labels
    return BatchCounts(labels.shape[0], tokens, int((used != IGNORED).sum()), pictures)
