"""What became of the rows of a data file, in the terminal: nothing is left out without a word."""

from __future__ import annotations

from typing import Any

from .console import err

_SHOWN = 5


def print_rows(*sources: Any) -> None:  # batches of any kind
    """Prints, beside the output, how many rows were left out and why. Says nothing where none was."""
    for report in (getattr(source, "report", None) for source in sources):
        if report is None or not report.rows_dropped:
            continue
        err.print(f"{report.rows_dropped:,} of {report.rows_read:,} rows left out:", style="yellow", markup=False)
        for dropped in report.dropped[:_SHOWN]:
            err.print(f"  {dropped}", markup=False, soft_wrap=True)
        if report.rows_dropped > _SHOWN:
            err.print(f"  and {report.rows_dropped - _SHOWN:,} more", markup=False)


def rows_to_dict(source: Any) -> dict[str, Any] | None:  # batches of any kind
    """The same as plain data; None where the source counts no rows."""
    report = getattr(source, "report", None)
    if report is None:
        return None
    return {
        "read": report.rows_read,
        "used": report.rows_kept,
        "left_out": report.rows_dropped,
        "reasons": dict(report.reasons),
        "examples": [{"place": str(d.place), "code": d.code, "reason": d.reason} for d in report.dropped[:_SHOWN]],
    }
