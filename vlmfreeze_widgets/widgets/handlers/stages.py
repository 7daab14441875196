"""What the requests about stages do to a session, and what the page is shown of them: a table, used by ``.core``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core.wire.stages_state import stages_state
from ...session import Session


def _choose(session: Session, args: Mapping[str, Any]) -> None:
    session.choose_stages(args["name"] or None)


def _add(session: Session, args: Mapping[str, Any]) -> None:
    session.add_stage(args["name"])


def _steps(session: Session, args: Mapping[str, Any]) -> None:
    session.set_stage_steps(args["name"], args["steps"])


def _run(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"burst": session.run_stages(only_next=not args["all"])}


def _decide(session: Session, args: Mapping[str, Any]) -> None:
    if args["keep"]:
        session.keep_stages()
    else:
        session.discard_stages()


STAGES_HANDLERS: Mapping[str, Callable[[Session, Mapping[str, Any]], Mapping[str, Any] | None]] = {
    "stages_choose": _choose,
    "stages_add": _add,
    "stages_steps": _steps,
    "stages_run": _run,
    "stages_decide": _decide,
}


def stages_page_state(session: Session) -> dict[str, Any]:
    """The trait ``stages_state`` of a session."""
    return stages_state(session.staged, session.curricula, session.why_no_stage)
