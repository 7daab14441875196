"""A comparison that a session runs, as a value, and what the page is shown of it: the trait ``compare_state``
(tests/wire/README.md). The board is ``core.comparison.board``; who runs it is ``session.comparison_runner``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..comparison.board import Board
from ..comparison.entry import Entry
from ..comparison.paired_difference import Difference
from ..comparison.text import footnotes
from ..strategy.strategy import Strategy
from .messages import VERSION, number

CompareStatus = Literal["open", "running", "paused", "over"]
MOST_CONTENDERS = 40
_POINTS = 200
"""Points of one curve; more are finer than a plot's pixels."""
_CALLS = {"too close to call": "too_close"}


@dataclass(frozen=True)
class Candidate:
    """One contender before it runs.

    Attributes:
        name: Its own.
        strategy: What trains.
        sentence: The same for people.
        refusal: Why it cannot run; "" where it can.
    """

    name: str
    strategy: Strategy
    sentence: str
    refusal: str = ""


@dataclass(frozen=True)
class Compared:
    """One look at the comparison of a session.

    Attributes:
        candidates: Who takes part, in order; those who join while it runs are among them.
        steps: Of every run.
        seeds: How many times each runs.
        status: "open" while the list is made, "over" when a board is final.
        board: What is known; None before the first step.
        done: Share of all steps that are taken, 0 to 1.
        eta_seconds: Until the end; None where it is unknown.
        message: Why it ended early; "" where it did not.
        pays: Which part pays, where all corners of a sweep have run.
    """

    candidates: tuple[Candidate, ...] = ()
    steps: int = 30
    seeds: int = 3
    status: CompareStatus = "open"
    board: Board | None = field(default=None, repr=False)
    done: float = 0.0
    eta_seconds: float | None = None
    message: str = ""
    pays: str = ""

    @property
    def is_busy(self) -> bool:
        """Whether it has the model."""
        return self.status in ("running", "paused")

    def named(self, name: str) -> Candidate | None:
        """The contender of that name."""
        return next((c for c in self.candidates if c.name == name), None)

    def without(self, name: str) -> Compared:
        """The same with one contender less."""
        return replace(self, candidates=tuple(c for c in self.candidates if c.name != name))


def compare_state(compared: Compared, why_not: str | None, watches: bool) -> dict[str, Any]:
    """The trait ``compare_state``.

    Args:
        compared: What there is.
        why_not: Why no comparison can start, with any contenders; None where one can.
        watches: Whether there are held-out batches.
    """
    board = compared.board
    rows = {} if board is None else {row["name"]: row for row in board.rows()}
    order = [*rows, *(c.name for c in compared.candidates if c.name not in rows)]
    letters = {c.name: i for i, c in enumerate(compared.candidates)}
    shown = [_contender(name, letters, compared, board, rows.get(name)) for name in order if name in letters]
    return {
        "v": VERSION,
        "status": compared.status,
        "why_not": why_not,
        "steps": compared.steps,
        "seeds": compared.seeds,
        "done": compared.done,
        "eta_seconds": number(compared.eta_seconds),
        "message": compared.message,
        "pays": compared.pays,
        "measured": "held_out" if watches else "training",
        "sentence": "" if board is None else board.sentence,
        "notes": [] if board is None else footnotes(board),
        "contenders": shown[:MOST_CONTENDERS],
    }


def _contender(
    name: str, letters: Mapping[str, int], compared: Compared, board: Board | None, row: Mapping[str, Any] | None
) -> dict[str, Any]:
    candidate = compared.named(name)
    assert candidate is not None
    found: dict[str, Any] = {
        "name": name,
        "index": letters[name],
        "sentence": candidate.sentence,
        "refusal": candidate.refusal,
        "state": "to_come",
        "place": None,
    }
    if board is None or row is None:
        return found
    entry, behind = board[name], row["behind_best"]
    return {
        **found,
        "state": row["state"],
        "place": row["place"],
        "on_front": row["on_front"],
        "loss": number(row["loss"]),
        "behind": None if behind is None else _gap(behind),
        "memory_bytes": entry.memory_bytes,
        "memory_is_measured": entry.memory_is_measured,
        "seconds": number(entry.seconds),
        "trainable_params": entry.trainable_params,
        "retention": number(entry.retention),
        "steps": entry.steps,
        "runs": len(entry.runs),
        "note": entry.note,
        "curve": _points(sorted(board.curve(name).items())),
        "train": _points(_training(entry)),
    }


def _gap(behind: Difference) -> dict[str, Any]:
    call = _CALLS.get(behind.call, behind.call)
    return {"call": call, "mean": number(behind.mean), "low": number(behind.low), "high": number(behind.high)}


def _training(entry: Entry) -> list[tuple[int, float]]:
    """Step -> training loss, mean over the seeds that got so far."""
    longest = max((len(run.losses) for run in entry.runs), default=0)
    found = []
    for step in range(longest):
        seen = [run.losses[step] for run in entry.runs if step < len(run.losses)]
        found.append((step + 1, sum(seen) / len(seen)))
    return found


def _points(curve: Sequence[tuple[int, float]]) -> bytes:
    """Step and loss as float64, two per point, evenly thinned to a few hundred, the first and the last among them."""
    if len(curve) > _POINTS:
        curve = [curve[round(i * (len(curve) - 1) / (_POINTS - 1))] for i in range(_POINTS)]
    return struct.pack(f"<{2 * len(curve)}d", *(float(x) for point in curve for x in point))
