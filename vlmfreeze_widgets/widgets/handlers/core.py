"""What each request does to a session: a table. Checking and replying are in ``widgets.channel``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core.errors import BadRequest, WrongPhase
from ...core.recipes.presets import chosen_preset
from ...core.strategy import edits
from ...core.wire.messages import Request, number
from ...session import Session
from .compare import COMPARE_HANDLERS
from .handover import HANDOVER_HANDLERS
from .runs import RUNS_HANDLERS
from .stages import STAGES_HANDLERS

Handler = Callable[[Session, Mapping[str, Any]], Mapping[str, Any] | None]


def _run(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"burst": session.run(args["steps"])}


def _series(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    if not 0 <= args["node"] < len(session.tree.nodes):
        raise BadRequest(
            "There is no such module.",
            expected=f"a node from 0 to {len(session.tree.nodes) - 1}",
            found=str(args["node"]),
            remedy="Reload the page.",
        )
    if args["burst"] != session.status.burst:
        raise WrongPhase(
            "That burst is gone.",
            expected=f"burst {session.status.burst}",
            found=str(args["burst"]),
            remedy="Look at the present one.",
        )
    values = session.history.series(session.tree.nodes[args["node"]].path)
    return {
        "burst": args["burst"],
        "node": args["node"],
        "values": [number(float("nan") if v is None else v) for v in values],
    }


def _preview(session: Session, args: Mapping[str, Any]) -> None:
    session.look_at_data(max(0, args["first"]))


def _load(session: Session, args: Mapping[str, Any]) -> None:
    session.load(args["dtype"], args["device"] or None)


def _probe(session: Session, args: Mapping[str, Any]) -> None:
    session.probe(open_all=args["open"])


def _resume_from(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"burst": session.resume_from(args["name"], args["steps"] or None)}


def _cost(session: Session, args: Mapping[str, Any]) -> None:
    session.costs.change(args["change"])


def _edit(change: Callable[..., Any], *names: str) -> Handler:
    def handle(session: Session, args: Mapping[str, Any]) -> None:
        session.edit(lambda strategy, tree: change(strategy, tree, *(args[name] for name in names)))

    return handle


def _plain(method: str) -> Handler:
    def handle(session: Session, _: Mapping[str, Any]) -> None:
        getattr(session, method)()

    return handle


HANDLERS: Mapping[str, Handler] = {
    "set_tuning": _edit(edits.set_tuning, "targets", "tuning"),
    "set_lr": _edit(edits.set_lr, "target", "lr"),
    "set_lora": _edit(edits.set_lora, "target", "rank", "alpha"),
    "set_blocks": _edit(edits.set_blocks, "component", "last"),
    "preset": _edit(lambda _, tree, name: chosen_preset(tree, name), "name"),
    "undo": _plain("undo"),
    "redo": _plain("redo"),
    "reset": _plain("reset"),
    "run": _run,
    "pause": _plain("pause"),
    "resume": _plain("resume"),
    "stop": _plain("stop"),
    "keep": _plain("keep"),
    "discard": _plain("discard"),
    "preview": _preview,
    "load": _load,
    "probe": _probe,
    "cost": _cost,
    "series": _series,
    "run_smaller": _plain("run_smaller"),
    "save": _plain("save"),
    "saved_states": _plain("look_for_states"),
    "resume_from": _resume_from,
    **HANDOVER_HANDLERS,
    **STAGES_HANDLERS,
    **COMPARE_HANDLERS,
    **RUNS_HANDLERS,
}


def handle(session: Session, request: Request) -> Mapping[str, Any] | None:
    """Does what a request asks of a session.

    Raises:
        BadRequest: This widget does not handle it.
        VlmFreezeError: It cannot be done now.
    """
    if request.name not in HANDLERS:
        raise BadRequest(
            f"This widget does not handle {request.name!r}.",
            expected=", ".join(HANDLERS),
            found=request.name,
            remedy="Use the widget that has the control.",
        )
    return HANDLERS[request.name](session, request.args)
