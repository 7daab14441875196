"""The file of a report: markup, style, the front end's script and its state, all in one. Nothing in it asks for anything else.

No script comes from data: the state is JSON in which no tag can begin, and the page's own policy runs one script only, by its hash.
"""

from __future__ import annotations

import json
import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import Any

from ..core.atomic_files import replace_file
from ..core.errors import CannotSave
from ..core.wire.messages import ROW_COLUMNS, number, paint_message, row_values, rows_message
from ..core.wire.run_state import RunStatus
from . import sections
from .board_section import board_section
from .content import Content

_STATIC = Path(__file__).resolve().parent.parent / "static"
_SECTIONS = (
    sections.verdicts, sections.proof, sections.cost, sections.answers, sections.looks, sections.reproduce
)  # fmt: skip
_MOST_ROWS = 2000  # drawn; a plot is about 500 pixels wide


def write(content: Content, path: Path, *, overwrite: bool) -> Path:
    """Writes the file, whole or not at all.

    Raises:
        CannotSave: A file is there already, or the disk refuses.
    """
    path = path.expanduser()
    if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
        raise CannotSave(
            "A report is an HTML file.",
            expected="a path that ends in .html",
            found=f"the folder {str(path)!r}" if path.is_dir() else repr(str(path)),
            remedy=f"Write {str(path / 'report.html' if path.is_dir() else path.with_suffix('.html'))!r}.",
        )
    if not path.parent.is_dir():
        raise CannotSave(
            "The folder for the report is not there.",
            expected="a folder that is there",
            found=repr(str(path.parent)),
            remedy="Make it first, or correct its name.",
        )
    if path.exists() and not overwrite:
        raise CannotSave(
            "There is a file of this name already.", expected="a new file", found=str(path),
            remedy="Give another name, or overwrite=True.",
        )  # fmt: skip
    text = html(content)
    return replace_file(path, text)


def html(content: Content) -> str:
    """The text of the file."""
    script = _asset("report.js").replace("</script", "<\\/script").replace("<!--", "<\\!--")
    style = _asset("report.css").replace("</style", "<\\/style")
    policy = (
        f"default-src 'none'; script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    drawn = _state(content)
    body = "" if content.board is None else board_section(content.board)
    body += "".join(part(content) for part in _SECTIONS)
    picture = (
        "<div id='vf-report'></div><noscript><p class='vf-muted'>The map and the curves need scripts; the numbers below do "
        "not.</p></noscript>"
        if drawn is not None
        else ""
    )
    state = "" if drawn is None else f"<script type='application/json' id='vf-report-state'>{_json(drawn)}</script>"
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        "<meta name='viewport' content='width=device-width, initial-scale=1'><meta name='color-scheme' content='light dark'>"
        f"<title>{escape(content.title)}: {escape(content.sentence)}</title><style>{style}</style></head>"
        f"<body class='vf-page'><main class='vf vf-sheet'>{sections.head(content)}{picture}{body}</main>{state}"
        f"<script type='module'>{script}</script></body></html>\n"
    )


def _state(content: Content) -> dict[str, Any] | None:
    """The traits and messages that the page is drawn from; None where there is no tree."""
    if content.tree_state is None or content.plan_state is None:
        return None
    history = content.history
    names = tuple(history.layout.component_names)
    records, each = sections.thinned(history, _MOST_ROWS)
    last = history[-1] if len(history) else None
    status = RunStatus(
        phase="idle", burst=1 if len(history) else 0, steps=int(history.settings.get("steps", 0)) or len(history),
        step=last.step if last is not None else 0, rows=len(records), rates=last.lr if last is not None else {}, lr_columns=names,
        norm_columns=names, verdicts=content.verdicts, skipped=history.skipped,
        message=f"One of {each} steps is drawn." if each > 1 else None,
    )  # fmt: skip
    messages: list[dict[str, Any]] = []
    if records:
        rows = [row_values(record, names, names) for record in records]
        message, buffer = rows_message(1, 0, rows, len(ROW_COLUMNS) + 2 * len(names))
        messages.append({"content": message, "buffer": buffer})
    messages += _paints(content)
    traits = {
        "commands": "", "tree_state": content.tree_state,
        "plan_state": {**content.plan_state, "can_undo": False, "can_redo": False},
        "run_state": status.to_dict(), "options": {"height": 430, "theme": "auto", "picture": ""},
    }  # fmt: skip
    return {"traits": traits, "messages": messages}


def _paints(content: Content) -> list[dict[str, Any]]:
    """The last gradient norm and update ratio of every node, by its path."""
    state, history = content.tree_state or {}, content.history
    if not len(history):
        return []
    paths = _paths(state)
    messages = []
    record = history[-1]
    message, buffer = paint_message(1, record.step, [record.grad_norms.get(path, math.nan) for path in paths])
    messages.append({"content": message, "buffer": buffer})
    measured = next((r for r in reversed(history) if r.updates is not None), None)
    if measured is not None:
        ratios = measured.update_ratios
        message, buffer = paint_message(
            1, measured.step, [ratios.get(path, math.nan) for path in paths], "update_ratio"
        )
        messages.append({"content": message, "buffer": buffer})
    return messages


def _paths(state: Mapping[str, Any]) -> list[str]:
    """The path of each node of a tree's state."""
    names = state["names"]
    parents, own = (_column(state[name], kind) for name, kind in (("parent", "i"), ("name", "I")))
    paths: list[str] = []
    for parent, name in zip(parents, own, strict=True):
        above = paths[parent] if parent >= 0 else ""
        paths.append(f"{above}.{names[name]}" if above else names[name])
    return paths


def _column(value: Any, code: str) -> tuple[int, ...]:  # bytes, or their base64
    data = value if isinstance(value, bytes) else b64decode(value["base64"])
    return struct.unpack(f"<{len(data) // 4}{code}", data)


def _json(value: Any) -> str:  # plain data and bytes
    """JSON in which neither a tag nor a comment can begin, whatever the data are."""
    text = json.dumps(_plain(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return number(value) if isinstance(value, float) else value


def _asset(name: str) -> str:
    path = _STATIC / name
    if not path.is_file():
        raise CannotSave(
            f"The front end file {name} is missing.", expected="the built files of the package", found="none",
            remedy="Run make build in the checkout (it needs Node), or install the wheel.",
        )  # fmt: skip
    return path.read_text(encoding="utf-8")
