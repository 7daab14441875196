"""The wire between kernel and page: requests, replies, numbers and rows as tests/wire/README.md fixes them.

Encoding only; who answers a request is in ``widgets.channel``, what the page is shown is in ``core.wire.plan_state``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import BadRequest, StaleRequest, VlmFreezeError
from ..history.history import StepRecord
from ..numbers import number as number  # noqa: PLC0414 - part of the wire
from ..numbers import read_number as read_number  # noqa: PLC0414
from ..shorten import shorten

VERSION = 1
KINDS = ("request", "intent")
"""What a request calls itself; a page that was open while the package was upgraded says "intent"."""

ROW_COLUMNS: tuple[str, ...] = (
    "step", "loss", "eval_loss", "grad_norm", "tokens", "seconds", "memory_bytes", "retention_loss", "retention_kl"
)  # fmt: skip

EDITS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "set_tuning": {"targets": list, "tuning": str},
    "set_lr": {"target": str, "lr": (int, float, type(None))},
    "set_lora": {"target": str, "rank": int, "alpha": (int, float)},
    "set_blocks": {"component": str, "last": int},
    "preset": {"name": str},
    "import": {"text": str, "trainer": str},
    "undo": {},
    "redo": {},
    "reset": {},
}
"""Requests that change the strategy, refused when stale: name -> argument -> type."""

ACTIONS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "hello": {"attempt": int},
    "views": {"page": str, "count": int},
    "snapshot": {"burst": int, "from": int},
    "run": {"steps": int},
    "pause": {},
    "resume": {},
    "stop": {},
    "keep": {},
    "discard": {},
    "preview": {"first": int},
    "load": {"dtype": str, "device": str},
    "probe": {"open": bool},
    "cost": {"change": dict},
    "series": {"burst": int, "node": int},
    "run_smaller": {},
    "save": {},
    "saved_states": {},
    "resume_from": {"name": str, "steps": int},
    "import_preview": {"text": str, "trainer": str},
    "export_preview": {"to": str},
    "export_save": {"token": str, "folder": str},
    "use_settings": {"name": str},
    "language": {"language": str},
    "stages_choose": {"name": str},
    "stages_add": {"name": str},
    "stages_steps": {"name": str, "steps": int},
    "stages_run": {"all": bool},
    "stages_decide": {"keep": bool},
    "compare_add": {"name": str},
    "compare_corners": {},
    "compare_remove": {"name": str},
    "compare_clone": {"name": str, "factor": (int, float)},
    "compare_set": {"steps": int, "seeds": int},
    "compare_run": {},
    "compare_pause": {"on": bool},
    "compare_stop": {},
    "compare_load": {"name": str},
    "runs_record": {"folder": str},
    "runs_look": {},
    "runs_open": {"name": str},
    "runs_compare": {"name": str, "other": str},
    "runs_take": {"name": str},
    "runs_report": {"name": str},
}
"""Requests that are never stale."""

_TARGET_LIMIT = 4096  # characters of one target, and targets in one request


@dataclass(frozen=True)
class Request:
    """What a page asks for."""

    id: str
    rev: int
    name: str
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_edit(self) -> bool:
        """Whether it would change the strategy."""
        return self.name in EDITS

    def to_dict(self) -> dict[str, Any]:
        """The message on the wire."""
        return {
            "v": VERSION,
            "kind": "request",
            "id": self.id,
            "rev": self.rev,
            "name": self.name,
            "args": dict(self.args),
        }


def read_request(message: object) -> Request:
    """Reads a message from a page; nothing in it is trusted.

    Raises:
        BadRequest: Not a request of this version, an unknown name, a missing, extra or mistyped argument.
    """
    if not isinstance(message, Mapping) or message.get("kind") not in KINDS or message.get("v") != VERSION:
        raise _bad(
            "a request of version 1", type(message).__name__ if not isinstance(message, Mapping) else "another message"
        )
    request_id, rev, name, args = (message.get(key) for key in ("id", "rev", "name", "args"))
    if not isinstance(request_id, str) or not 0 < len(request_id) <= 64 or not _is_int(rev):
        raise _bad("an id and a revision", f"id {request_id!r:.40}, rev {rev!r:.40}")
    form = (
        EDITS.get(name)
        if isinstance(name, str) and name in EDITS
        else ACTIONS.get(name)
        if isinstance(name, str)
        else None
    )
    if form is None:
        raise _bad(f"one of {', '.join([*EDITS, *ACTIONS])}", shorten(repr(name), 40))
    if not isinstance(args, Mapping) or set(args) != set(form):
        raise _bad(
            f"the arguments {sorted(form)} of {name}",
            shorten(repr(sorted(args) if isinstance(args, Mapping) else args), 80),
        )
    for key, kind in form.items():
        value = args[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _bad(f"another type for {key}", type(value).__name__)
        if isinstance(value, float) and not math.isfinite(value):
            raise _bad(f"a finite {key}", repr(value))
    targets = args.get("targets", [args.get("target", "")])
    if len(targets) > _TARGET_LIMIT or any(not isinstance(t, str) or len(t) > _TARGET_LIMIT for t in targets):
        raise _bad("a list of paths", "something else")
    assert isinstance(rev, int)  # for the type checker; told above
    return Request(request_id, rev, str(name), dict(args))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bad(expected: str, found: str) -> BadRequest:
    return BadRequest(
        "This message is not a request that this version understands.",
        expected=expected,
        found=found,
        remedy="Run the cell again, so that page and kernel are of one version.",
    )


def stale(found: int, expected: int) -> StaleRequest:
    """The refusal of an edit against an older revision."""
    return StaleRequest(
        "The strategy has changed since this page last drew it.",
        expected=f"revision {expected}",
        found=f"revision {found}",
        remedy="Repeat the change on the page as it is now.",
    )


def ok_reply(request_id: str, rev: int, result: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The one reply to a request that succeeded."""
    return {"v": VERSION, "kind": "reply", "id": request_id, "ok": True, "rev": rev, "result": dict(result or {})}


def error_reply(request_id: str, rev: int, error: BaseException) -> dict[str, Any]:
    """The one reply to a request that failed; any exception has the three parts."""
    return {"v": VERSION, "kind": "reply", "id": request_id, "ok": False, "rev": rev, "error": error_to_dict(error)}


def error_to_dict(error: BaseException) -> dict[str, str]:
    """code, message, expected, found, remedy of any exception."""
    if isinstance(error, VlmFreezeError):
        return {**error.to_dict(), "message": str(error)}
    return {
        "code": "unexpected",
        "message": f"{type(error).__name__}: {error}",
        "expected": "",
        "found": type(error).__name__,
        "remedy": "The traceback below says where.",
    }


def row_values(record: StepRecord, lr_names: Sequence[str], norm_names: Sequence[str]) -> list[float]:
    """One row of the wire: ROW_COLUMNS, then lr per component, then gradient norm per component; missing is NaN."""
    row = [_or_nan(getattr(record, name)) for name in ROW_COLUMNS[:-2]]
    row[ROW_COLUMNS.index("eval_loss")] = _looked_at(record.eval_loss)
    kept = record.retention
    row += [_looked_at(kept.loss if kept else None), _looked_at(kept.kl if kept else None)]
    row += [_or_nan(record.lr.get(name)) for name in lr_names]
    norms = record.component_norms
    return row + [_or_nan(norms.get(name)) for name in norm_names]


def _looked_at(value: float | None) -> float:
    """NaN is the wire's word for a look that was not taken; one that found no number is sent as infinity."""
    return math.nan if value is None else math.inf if math.isnan(value) else float(value)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def rows_message(burst: int, first: int, rows: Sequence[Sequence[float]], width: int) -> tuple[dict[str, Any], bytes]:
    """A rows event and its buffer: count x width float64, little-endian, row-major."""
    flat = [value for row in rows for value in row]
    message = {"v": VERSION, "kind": "rows", "burst": burst, "first": first, "count": len(rows), "width": width}
    return message, struct.pack(f"<{len(flat)}d", *flat)


def paint_message(
    burst: int, step: int, values: Sequence[float], metric: str = "grad_norm"
) -> tuple[dict[str, Any], bytes]:
    """A paint event and its buffer: one float32 per node."""
    message = {"v": VERSION, "kind": "paint", "burst": burst, "step": step, "metric": metric}
    return message, struct.pack(f"<{len(values)}f", *(v if math.isnan(v) else min(v, 3.4e38) for v in values))
