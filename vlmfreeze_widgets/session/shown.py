"""What a session holds for others to look at, as values: a probe, a proof, rows of the data, and what can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ..core.evidence.freeze_proof import Proof, Restored
from ..core.evidence.probe_report import ProbeReport

Change = Literal["tree", "plan", "run", "record", "probe", "preview", "saved", "cost", "stages", "runs", "compare"]


@dataclass(frozen=True)
class Probed:
    """A probe that was made: its number from 1, the revision of the strategy that was probed, and what it found."""

    number: int
    rev: int
    report: ProbeReport


@dataclass(frozen=True)
class Preview:
    """Rows of the data as the model gets them.

    Attributes:
        number: Of the preview, from 1.
        first: Place of the first row.
        rows: ``data.preview.RowPreview`` values.
        report: What was read and left out, in words; "" where the batches came ready.
    """

    number: int
    first: int
    rows: tuple[Any, ...]
    report: str


@dataclass(frozen=True)
class Proved:
    """The proof of a burst: its number, what it showed of the frozen tensors, and after a discard of all of them."""

    burst: int
    proof: Proof
    restored: Restored | None = None
