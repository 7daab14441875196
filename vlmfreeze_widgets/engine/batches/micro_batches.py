"""Reads micro-batches from a source, one after another and pass after pass. One of them is in ``engine.batches.micro_batch``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from ...core.arguments import found_for
from ...core.errors import BadBatch, DataWorkerLost
from ...core.source_length import length_of
from ..tensors.random_streams import RandomStream, State
from .micro_batch import IGNORED, MicroBatch, read_batch
from .position import Position, digest_of, rows_of
from .workers import as_lost, begin_pass, end_pass

_END = object()
_PATIENCE = 32  # micro-batches without a label token in a row before giving up, when the source has no length


class MicroBatches:
    """Reads micro-batches one after another, from the start again when a re-iterable source ends.

    Args:
        source: Anything that yields mappings of tensors with ``labels``.
        shifts_labels: Whether the model predicts the next token, so that the first label of a row is never used.
        stream: What shuffling and augmentation draw from; None: the default generators as they are.

    Attributes:
        skipped: Micro-batches without a label token so far, and ``None`` in place of one; they are left out.
        position: How far the source was read.
        stream: As given; None where the source is a list.
        pass_began: Where the stream stood when the source last began.

    Raises:
        BadBatch: The source is no iterable.
    """

    def __init__(self, source: Iterable[Any], shifts_labels: bool = True, stream: RandomStream | None = None) -> None:
        if isinstance(source, Mapping | str | bytes) or not isinstance(source, Iterable):
            raise BadBatch(
                "There are no micro-batches to read.",
                expected="a list, DataLoader or other iterable of dicts of tensors",
                found=found_for(source),
                remedy="Put the batch into a list: [batch].",
            )
        self.skipped = 0
        self._source = source
        self._shifts = shifts_labels
        self._iterator: Iterator[Any] | None = None
        self._one_shot = isinstance(source, Iterator)
        # The default generators are everybody's: a plain list draws nothing, so they are left alone.
        self.stream = None if isinstance(source, list | tuple) else stream
        self.pass_began: State | None = None
        self.position = Position()
        known = length_of(source)
        self._patience = _PATIENCE if known is None else max(known, 1)

    @property
    def size(self) -> int:
        """Micro-batches of one pass; 1 where the source cannot say."""
        return 1 if (known := length_of(self._source)) is None else known

    def take(self, number: int) -> list[MicroBatch]:
        """The micro-batches of one optimizer step; fewer, or none, when a one-shot source has ended.

        Raises:
            BadBatch: A micro-batch cannot be trained on, or a whole pass has no label token.
        """
        with nullcontext() if self.stream is None else self.stream.active():
            return self._take(number)

    def _take(self, number: int) -> list[MicroBatch]:
        taken: list[MicroBatch] = []
        in_a_row = 0
        while len(taken) < number:
            raw = self._next()
            if raw is _END:
                break
            # None is what a collate function gives that drops bad rows, and found no good one.
            batch = None if raw is None else read_batch(raw, self.position.read - 1, self._shifts)
            if batch is not None and batch.label_tokens:
                taken.append(batch)
                in_a_row = 0
                continue
            self.skipped += 1
            in_a_row += 1
            if in_a_row >= self._patience:
                raise BadBatch(
                    f"{in_a_row} micro-batches in a row have no label token.",
                    expected=f"labels other than {IGNORED} in at least one row",
                    found="None in place of the last one"
                    if batch is None
                    else f"only {IGNORED}"
                    if batch.input_tokens
                    else "batches without a row",
                    remedy="Check the collate function: it dropped every row."
                    if batch is None or not batch.input_tokens
                    else "Check the chat template and max_length: the answer may be masked or cut off.",
                )
        return taken

    def _next(self) -> Any:  # whatever the source yields, None too; _END where it has ended
        for attempt in range(2):
            if self._iterator is None:
                self._begin_pass()
            assert self._iterator is not None
            try:
                raw = next(self._iterator)
            except StopIteration:
                if self._one_shot or attempt:
                    if self.position.read == 0:
                        raise self._empty() from None
                    return _END
                self._iterator = None
                continue
            except RuntimeError as error:
                raise self.as_lost(error) or error from error
            self._count(raw)
            return raw
        return _END

    def as_lost(self, error: Exception) -> DataWorkerLost | None:
        """What an error that came from anywhere says of the source's worker processes; they are ended then."""
        return as_lost(error, self._iterator)

    def end(self) -> None:
        """Nothing more is read: worker processes of the source end now, not when the burst is collected."""
        if not self._one_shot:
            end_pass(self._iterator)
            self._iterator = None

    def _begin_pass(self) -> None:
        self.pass_began = None if self.stream is None else self.stream.now()
        end_pass(self._iterator)
        self._iterator = begin_pass(self._source)
        self.position = replace(self.position, read_of_pass=0, rows_of_pass=0)

    def _count(self, raw: Any) -> None:  # whatever the source yields
        rows = rows_of(raw)
        at = self.position
        self.position = Position(
            at.read + 1, at.read_of_pass + 1, at.rows_of_pass + rows, at.rows_per_batch or rows, digest_of(raw)
        )

    def go_to(self, position: Position, pass_began: State | None, skipped: int) -> str | None:
        """Goes on where another reader of the same source stood, by reading the pass again up to there.

        Args:
            position: Of the other reader.
            pass_began: Its ``pass_began``, so that shuffling and augmentation are drawn again as they were.
            skipped: Its ``skipped``.

        Returns:
            What the user must know: the batch size is another, or the source is shorter; None when all is as it was.
        """
        note: str | None = None
        by_rows = False
        if self.stream is not None and pass_began is not None:
            self.stream.state = pass_began
        with nullcontext() if self.stream is None else self.stream.active():
            while (
                self.position.rows_of_pass < position.rows_of_pass
                if by_rows
                else self.position.read_of_pass < position.read_of_pass
            ):
                seen = self.position.read_of_pass
                if self._next() is _END or self.position.read_of_pass <= seen:
                    self._iterator = None
                    note = "The batches are fewer than when the burst was saved; it goes on where they begin again."
                    break
                rows = self.position.rows_per_batch
                if rows != position.rows_per_batch and not by_rows:
                    by_rows = True
                    note = (
                        f"The micro-batches have {rows} rows, and had {position.rows_per_batch} when the burst was saved: "
                        f"it goes on with {rows}, after the {position.rows_of_pass} rows of this pass that were seen."
                    )
        if note is None and position.last and self.position.last and self.position.last != position.last:
            note = "The batches are others than when the burst was saved: it goes on, but not with the numbers it would have had."
        self.position = replace(self.position, read=position.read)
        self.skipped = skipped
        return note

    def _empty(self) -> BadBatch:
        return BadBatch(
            "There are no micro-batches to read.",
            expected="at least one",
            found="an empty source",
            remedy="Give batches that yield at least one dict of tensors.",
        )
