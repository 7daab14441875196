"""What the requests of import and export do to a session: a table, used by ``.core``. Looks change nothing; the one that
writes files needs the token of a look that was made just before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...core.wire.handover import export_reply, handover_state, import_reply
from ...session import Session
from ...session.handover import FOLDER
from ...session.stage_settings import with_stage


def _import_preview(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return import_reply(session.handover.preview_import(args["text"], args["trainer"]), session.tree)


def _import(session: Session, args: Mapping[str, Any]) -> None:
    session.handover.import_text(args["text"], args["trainer"])


def _export_preview(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    token, look = session.handover.preview_export(
        args["to"], session.settings, session.micro_batch_rows, session.data_origin
    )
    return export_reply(look, session.tree, token)


def _export_save(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"paths": session.handover.save(args["token"], args["folder"])}


def _use_settings(session: Session, args: Mapping[str, Any]) -> Mapping[str, Any]:
    session.settings, changed = with_stage(session.settings, args["name"])
    return {"changed": changed}


HANDOVER_HANDLERS: Mapping[str, Callable[[Session, Mapping[str, Any]], Mapping[str, Any] | None]] = {
    "import_preview": _import_preview,
    "import": _import,
    "export_preview": _export_preview,
    "export_save": _export_save,
    "use_settings": _use_settings,
}


def state_of(session: Session) -> dict[str, Any]:
    """The trait ``handover_state`` of a session."""
    return handover_state(session.handover.trainers, FOLDER, session.tree)
