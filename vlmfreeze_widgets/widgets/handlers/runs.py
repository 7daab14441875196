"""What the requests about recorded runs do to a session: a table, used by ``.core``. Folders are named below the working
folder only, and read by the session's own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...session import Session


def _record(session: Session, args: Mapping[str, Any]) -> None:
    session.record_here(args["folder"])


def _open(session: Session, args: Mapping[str, Any]) -> None:
    session.open_run(args["name"])


def _compare(session: Session, args: Mapping[str, Any]) -> None:
    session.compare_runs(args["name"], args["other"])


def _take(session: Session, args: Mapping[str, Any]) -> None:
    session.take_strategy(args["name"])


def _report(session: Session, args: Mapping[str, Any]) -> None:
    session.report_run(args["name"], _write)


def _write(source: Path, target: Path) -> Path:
    from ...report import report  # only who asks for a report waits for its templates

    return report(source, target)


def _look(session: Session, _: Mapping[str, Any]) -> None:
    session.look_for_runs()


RUNS_HANDLERS: Mapping[str, Callable[[Session, Mapping[str, Any]], Mapping[str, Any] | None]] = {
    "runs_record": _record,
    "runs_look": _look,
    "runs_open": _open,
    "runs_compare": _compare,
    "runs_take": _take,
    "runs_report": _report,
}
