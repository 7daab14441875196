"""What the requests about a comparison do to a session, and what the page is shown of it: a table, used by ``.core``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core.wire.compare_state import compare_state
from ...session import Session


def _add(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": session.add_contender(args["name"])}


def _corners(session: Session, _: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"added": session.add_corners()}


def _remove(session: Session, args: Mapping[str, Any]) -> None:
    session.remove_contender(args["name"])


def _clone(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": session.clone_contender(args["name"], factor=float(args["factor"]))}


def _set(session: Session, args: Mapping[str, Any]) -> None:
    session.set_comparison(args["steps"], args["seeds"])


def _run(session: Session, _: Mapping[str, Any]) -> None:
    session.compare()


def _pause(session: Session, args: Mapping[str, Any]) -> None:
    if args["on"]:
        session.pause_comparing()
    else:
        session.resume_comparing()


def _stop(session: Session, _: Mapping[str, Any]) -> None:
    if session.compared.is_busy:
        session.stop()


def _load(session: Session, args: Mapping[str, Any]) -> None:
    session.load_contender(args["name"])


COMPARE_HANDLERS: Mapping[str, Callable[[Session, Mapping[str, Any]], Mapping[str, Any] | None]] = {
    "compare_add": _add,
    "compare_corners": _corners,
    "compare_remove": _remove,
    "compare_clone": _clone,
    "compare_set": _set,
    "compare_run": _run,
    "compare_pause": _pause,
    "compare_stop": _stop,
    "compare_load": _load,
}


def compare_page_state(session: Session) -> dict[str, Any]:
    """The trait ``compare_state`` of a session."""
    return compare_state(session.compared, session.why_no_comparison, session.watches)
