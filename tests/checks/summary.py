"""The report of the checks as a table for the terminal, by group. What is in it is decided in ``report.py``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

GROUPS = (
    ("Numerics", "N"),
    ("State", "S"),
    ("Faults", "F"),
    ("Bad input", "B"),
    ("Load and honesty", "L"),
    ("Security", "X"),
)
_COLOURS = {"pass": "green", "fail": "red", "not run": "yellow"}
_WIDTHS = (4, 8, 62, 44)


def lines(rows: Sequence[dict[str, Any]], seconds: float) -> Iterator[tuple[str, str | None]]:
    """Lines with the colour of each, None for the terminal's own.

    Args:
        rows: Of the report.
        seconds: That all took.
    """
    for title, letter in GROUPS:
        group = [row for row in rows if row["id"].startswith(letter)]
        yield "", None
        passed = sum(row["status"] == "pass" for row in group)
        yield f"{title}: {passed} of {len(group)} hold", None
        for row in group:
            cells = (row["id"], row["status"], row["promise"], told(row))
            text = " ".join(_fit(cell, width) for cell, width in zip(cells, _WIDTHS, strict=True))
            yield text.rstrip(), _COLOURS[row["status"]]
    yield "", None
    counts = [f"{sum(row['status'] == status for row in rows)} {status}" for status in _COLOURS]
    measured = sum(row["value"] is not None for row in rows)
    yield f"{len(rows)} promises: {', '.join(counts)}; {measured} with a figure; {seconds / 60:.1f} minutes", None


def told(row: dict[str, Any]) -> str:
    """What was measured, or why nothing was."""
    if row["status"] != "pass":
        return str(row["why"])
    where = f" (not on {', '.join(row['not_run_on'])})" if row["not_run_on"] else ""
    if row["value"] is None:
        return f"{row['tests']} tests{where}"
    return f"{row['value']:.3g} {row['figure']}{where}"


def _fit(text: str, width: int) -> str:
    return f"{text:<{width}}" if len(text) <= width else f"{text[: width - 1]}…"
