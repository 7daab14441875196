"""What was read, what was left out and why, and what the batches hold. Values and their text; nothing is read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

from .rows import Dropped, Remark

_SHOWN = 20


@dataclass(frozen=True)
class BatchCounts:
    """What one batch holds.

    Attributes:
        rows: Training examples.
        tokens: Tokens, padding left out.
        label_tokens: Tokens that the loss is computed for.
        pictures: Pictures.
    """

    rows: int
    tokens: int
    label_tokens: int
    pictures: int


@dataclass(frozen=True)
class LoadReport:
    """What became of the rows so far.

    Attributes:
        rows_read: Rows looked at.
        rows_kept: Rows that are in batches.
        complete: Whether every row was looked at.
        dropped: Rows that are left out, each with place and reason; of very many the first 10,000.
        reasons: Code -> how many rows were left out for it.
        remarks: What was done to rows that are used.
        cut_rows: Rows whose answer was cut at ``max_length``.
        batches: What each batch holds that was made so far.
        notes: How the processor is used: which template, what closes an answer.
    """

    rows_read: int
    rows_kept: int
    complete: bool
    dropped: tuple[Dropped, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    cut_rows: int = 0
    batches: tuple[BatchCounts, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def rows_dropped(self) -> int:
        """How many rows were left out so far."""
        return sum(self.reasons.values())

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        head, *rest = self._lines()
        return f"<p>{escape(head)}</p><ul>{''.join(f'<li>{escape(line.strip())}</li>' for line in rest)}</ul>"

    def _lines(self) -> list[str]:
        so_far = "" if self.complete else " so far"
        lines = [f"{self.rows_read:,} rows read{so_far}: {self.rows_kept:,} used, {self.rows_dropped:,} left out"]
        if self.batches:
            labels, tokens = sum(b.label_tokens for b in self.batches), sum(b.tokens for b in self.batches)
            pictures = sum(b.pictures for b in self.batches)
            share = f", {labels / tokens:.0%}" if tokens else ""
            lines.append(
                f"  {len(self.batches):,} batches: {tokens:,} tokens, {labels:,} of them labels{share}; {pictures:,} pictures"
            )
        if self.cut_rows:
            lines.append(f"  {self.cut_rows:,} answers cut at max_length")
        lines += [f"  {note}" for note in self.notes]
        for many, total, what in (
            (self.dropped, self.rows_dropped, "left out"),
            (self.remarks, len(self.remarks), "used"),
        ):
            lines += [f"  {what}: {one}" for one in many[:_SHOWN]]
            if total > _SHOWN:
                lines.append(f"  and {total - _SHOWN:,} more {what}")
        return lines
