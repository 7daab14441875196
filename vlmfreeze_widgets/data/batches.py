"""What ``load_batches`` gives: micro-batches that can be read again and again, with a report and a preview.

Rows are read and made into tensors when they are reached. Batches of tensors made elsewhere are in ``ready``.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from ..core.data_origin import DataOrigin
from ..core.errors import BadData
from ..engine.batches.micro_batch import IGNORED
from .any_batches import Batches, html_of, text_of
from .collate import Tensors, collate
from .json_files import JsonRows
from .picture_folders import Rows
from .pictures import thumbnail
from .prepare import Prepared, Preparer
from .preview import RowPreview, RowPreviews, token_spans
from .report import BatchCounts, LoadReport
from .rows import BadRow, Dropped, Place, Remark

_LISTED = 10_000
_KEPT_BYTES = 128 * 2**20


class RowBatches(Batches):
    """Batches made of rows. A row that cannot be used is listed in ``report`` and the next one takes its place.

    Args:
        rows: Where they come from.
        preparer: Makes tensors of them.
        batch_size: Rows of a batch; the last batch may have fewer.
        limit: At most so many rows are read; None for all.
        order: Seed of the order in which they are read; None for the order of the source.
        look_at: Sources with at most so many rows are looked at in full now; of larger ones, one batch.
        origin: The file or folder that they come from; an attribute, too. None of rows that lie in memory.

    Raises:
        BadData: Not one of the rows that were looked at can be used.
    """

    __repr__ = text_of
    _repr_html_ = html_of

    def __init__(
        self, rows: Rows, preparer: Preparer, *, batch_size: int, limit: int | None, order: int | None, look_at: int,
        origin: DataOrigin | None = None,
    ) -> None:  # fmt: skip
        self.origin = origin
        self._rows = rows
        self._preparer = preparer
        self._size = batch_size
        self._limit = limit
        self._order = order
        self._permutation: array[int] | None = None
        self._seen = bytearray()
        self._kept = self._cut = 0
        self._complete = False
        self._dropped: list[Dropped] = []
        self._reasons: Counter[str] = Counter()
        self._remarks: list[Remark] = []
        self._counts: list[BatchCounts] = []
        self._stock: dict[int, Prepared] = {}
        self._stocked = 0
        self._look(look_at)

    @property
    def batch_size(self) -> int:
        """Rows of a batch."""
        return self._size

    def __iter__(self) -> Iterator[Tensors]:
        """Dicts of tensors with ``labels``."""
        waiting: list[Prepared] = []
        number = 0
        for place, raw in self._raw():
            row = self._row(place, raw)
            waiting += [] if row is None else [row]
            if len(waiting) == self._size:
                yield self._batch(number, waiting)
                number, waiting = number + 1, []
        self._complete = True
        if waiting:
            yield self._batch(number, waiting)

    def __len__(self) -> int:
        rows = self._kept if self._complete else self._total() - sum(self._reasons.values())
        return (rows + self._size - 1) // self._size

    @property
    def report(self) -> LoadReport:
        """What became of the rows so far."""
        return LoadReport(
            rows_read=sum(self._seen),
            rows_kept=self._kept,
            complete=self._complete,
            dropped=tuple(self._dropped),
            reasons=dict(self._reasons),
            remarks=tuple(self._remarks),
            cut_rows=self._cut,
            batches=tuple(self._counts),
            notes=self._preparer.notes(),
        )

    def check(self) -> LoadReport:
        """Looks at every row now, and reports."""
        for _ in self:
            pass
        return self.report

    def preview(self, n: int = 4) -> RowPreviews:
        """The first ``n`` usable rows as the model gets them."""
        found: list[RowPreview] = []
        for place, raw in self._raw():
            if len(found) >= n:
                break
            try:
                row, shown = self._preparer.prepare_in_full(place, raw)
            except BadRow:
                continue
            spans = token_spans(
                row.tensors["input_ids"][0],
                row.tensors["labels"][0],
                None,
                self._preparer.processor.tokenizer,
                self._preparer.image_token,
                shown.texts,
            )
            prompt = shown.prompt
            text = prompt.text if prompt.suffix is None else f"{prompt.text}\n{prompt.suffix}"
            found.append(RowPreview(place, text, spans, tuple(thumbnail(p.image) for p in shown.pictures)))
        return RowPreviews(tuple(found))

    def _raw(self) -> Iterator[tuple[Place, Any]]:
        if self._order is None:
            return islice(iter(self._rows), self._limit)
        if self._permutation is None:
            draw = torch.Generator().manual_seed(self._order)
            self._permutation = array("q", torch.randperm(self._total(), generator=draw).numpy().tobytes())
        return (self._rows.read(row) for row in self._permutation)

    def _total(self) -> int:
        return len(self._rows) if self._limit is None else min(len(self._rows), self._limit)

    def _row(self, place: Place, raw: Any) -> Prepared | None:  # a row's value or BadRow
        if place.row in self._stock:
            return self._stock[place.row]
        try:
            row = self._preparer.prepare(place, raw)
        except BadRow as bad:
            if self._is_new(place):
                self._reasons[bad.code] += 1
                if len(self._dropped) < _LISTED:
                    self._dropped.append(Dropped(place, bad.code, bad.reason))
            return None
        if self._is_new(place):
            self._kept += 1
            self._cut += row.cut > 0
            self._remarks += [Remark(place, text) for text in row.remarks][: _LISTED - len(self._remarks)]
        if self._stocked + row.bytes <= _KEPT_BYTES:
            self._stock[place.row] = row
            self._stocked += row.bytes
        return row

    def _is_new(self, place: Place) -> bool:
        if place.row >= len(self._seen):
            self._seen.extend(bytes(max(place.row + 1 - len(self._seen), len(self._seen), 1024)))
        new = not self._seen[place.row]
        self._seen[place.row] = 1
        return new

    def _batch(self, number: int, rows: list[Prepared]) -> Tensors:
        batch = collate([row.tensors for row in rows], self._preparer.pad_token)
        if number == len(self._counts) < _LISTED:
            self._counts.append(
                BatchCounts(
                    rows=len(rows),
                    tokens=sum(row.tensors["input_ids"].shape[1] for row in rows),
                    label_tokens=int((batch["labels"][:, 1:] != IGNORED).sum()),
                    pictures=sum(row.pictures for row in rows),
                )
            )
        return batch

    def _remedy(self) -> str:
        if not self._dropped:
            return "Give a source with rows in it."
        counted = ", ".join(f"{number} for {code}" for code, number in self._reasons.most_common())
        hint = {
            "picture": "Give image_root, the folder that the pictures' paths begin in.",
            "placeholders": "The processor and the model must be of the same checkpoint, and each picture needs one <image>.",
            "too-long": "Raise max_length.",
        }.get(self._reasons.most_common(1)[0][0], "Compare the row with the formats in the help of vf.load_batches.")
        return f"{hint} Left out: {counted}."

    def _look(self, at_most: int) -> None:
        # A file is not read to its end for its length; a table is not read at all, for that would decode its pictures.
        counted = not isinstance(self._rows, JsonRows)
        small = (self._total() if counted else sum(1 for _ in islice(self._raw(), at_most + 1))) <= at_most
        if small:
            for _ in self:
                pass
        else:
            good = 0
            for place, raw in islice(self._raw(), at_most):
                good += self._row(place, raw) is not None
                if good == self._size:
                    break
        if self._kept:
            return
        raise BadData(
            "Not one row can be used." if small else f"Not one of the first {at_most} rows can be used.",
            expected="rows with an answer, and the pictures that they name",
            found=str(self._dropped[0]) if self._dropped else "no rows",
            remedy=self._remedy(),
        )
