"""A history as lines of JSON that grow with the run: a header, one line per step, a last line; between them what was seen of
data, answers and verdicts. Its file is kept in ``engine.runs.run_folder``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..errors import BadState
from ..numbers import number, read_number
from ..shorten import shorten
from .history import Answers, History, StepRecord
from .norms import ModuleNorms, NormLayout
from .retention_result import RetentionResult
from .update_norms import UpdateNorms

VERSION = 1
_NUMBERS = ("loss", "eval_loss", "grad_norm", "seconds")
_COUNTS = ("step", "tokens", "input_tokens", "memory_bytes")


def header_line(history: History, processes: int) -> bytes:
    """The first line: version, strategy, settings, and what the columns of the following lines are.

    Args:
        history: Still without records.
        processes: How many train together.
    """
    layout = history.layout
    return _line(
        {
            "kind": "header",
            "version": VERSION,
            "processes": processes,
            "strategy": history.strategy,
            "settings": history.settings,
            "columns": [*_COUNTS, *_NUMBERS, "problem", "lr", "norms"],
            "tensors": list(layout.names),
            "modules": list(layout.modules),
            "components": list(layout.components),
            "questions": [list(question) for question in history.questions],
            "retention_start": _look(history.retention_start),
        }
    )


def status_line(kind: str, data: Mapping[str, Any]) -> bytes:
    """A line between the steps: "data", "answers", "verdicts", "proof". Readers that do not know a kind pass it over."""
    return _line({"kind": kind, **data})


def record_line(record: StepRecord, words: str = "") -> bytes:
    """The line of one step; "norms" are in the order of the header's tensors. What was not looked at is left out.

    Args:
        record: The step.
        words: A digest of the words that it read; "" where that is not known.
    """
    looks: dict[str, Any] = {"words": words} if words else {}
    if record.retention is not None:
        looks["retention"] = _look(record.retention)
    if record.updates is not None:
        looks["updates"] = [[number(n) for n in part] for part in (record.updates.moved, record.updates.sizes)]
    return _line(
        {
            "kind": "step",
            **{name: getattr(record, name) for name in _COUNTS},
            **{name: number(getattr(record, name)) for name in _NUMBERS},
            "problem": record.problem,
            "lr": {name: number(lr) for name, lr in record.lr.items()},
            "norms": [number(n) for n in record.grad_norms.norms],
            **looks,
        }
    )


def end_line(history: History, phase: str, message: str | None) -> bytes:
    """The last line: how the run ended.

    Args:
        history: With all records.
        phase: "finished", "stopped" or "failed".
        message: Why it ended early.
    """
    return _line(
        {"kind": "end", "phase": phase, "steps": len(history), "skipped": history.skipped,
         "notes": history.notes, "tainted": history.tainted, "message": message}
    )  # fmt: skip


class HistoryLines:
    """Reads the lines into a history as they come. What is not yet a whole line waits for its rest, or for ever.

    Args:
        history: Gets the header's layout, strategy and settings, and one record per line.

    Attributes:
        status: Kind -> the last line of that kind, of those that are no part of a history: "data", "verdicts", "proof", "end".
        words: Step -> digest of the words that it read, where that is known.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self.status: dict[str, Mapping[str, Any]] = {}
        self.words: dict[int, str] = {}
        self._torn = b""
        self._number = 0

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the file.

        Raises:
            BadState: A whole line that this release cannot read.
        """
        *lines, self._torn = (self._torn + data).split(b"\n")
        for line in lines:
            self._number += 1
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise BadState(
                    f"Line {self._number} of the history cannot be read.",
                    expected=f"a header of version {VERSION}, then one line of JSON per step",
                    found=shorten(f"{type(error).__name__}: {error}", 160),
                    remedy="Follow the run with the release that writes it.",
                ) from error

    def _take(self, data: Mapping[str, Any]) -> None:
        history, kind = self._history, data["kind"]
        if kind == "header":
            if data["version"] != VERSION:
                raise ValueError(f"version {data['version']}")
            history.layout = NormLayout(tuple(data["tensors"]), tuple(data["modules"]), tuple(data["components"]))
            history.strategy, history.settings = dict(data["strategy"]), dict(data["settings"])
            history.questions = tuple((prompt, target) for prompt, target in data.get("questions", ()))
            history.retention_start = _read_look(data.get("retention_start"))
        elif kind == "step":
            if "words" in data:
                self.words[data["step"]] = data["words"]
            history.append(_record(data, history.layout))
        elif kind == "answers":
            history.answers.append(Answers(data["step"], tuple(data["texts"])))
        else:
            self.status[kind] = data
            if kind == "end":
                history.skipped, history.notes = data["skipped"], list(data["notes"])
                history.tainted = list(data.get("tainted", ()))


def _record(data: Mapping[str, Any], layout: NormLayout) -> StepRecord:
    numbers = {name: read_number(data[name]) for name in _NUMBERS}
    norms = tuple(read_number(n) for n in data["norms"])
    if len(norms) != len(layout.names):
        raise ValueError(f"{len(norms)} norms of {len(layout.names)} tensors")
    for name in _COUNTS:
        value = data[name]
        if (value is None and name != "memory_bytes") or (value is not None and not _is_count(value)):
            raise ValueError(f"{name} {value!r:.40}")
    if not isinstance(data["problem"], str | None):
        raise TypeError(f"problem is a {type(data['problem']).__name__}")
    if any(numbers[name] is None for name in _NUMBERS if name != "eval_loss"):
        raise ValueError("a number is missing")
    if math.isnan(numbers["seconds"] or 0.0) or math.isinf(numbers["seconds"] or 0.0):
        raise ValueError("seconds without a number")
    moved, sizes = (tuple(read_number(n) for n in part) for part in data.get("updates", ((), ())))
    return StepRecord(
        **{name: data[name] for name in _COUNTS},
        **numbers,  # type: ignore[arg-type]  # only eval_loss may be None
        lr={name: value for name, lr in data["lr"].items() if (value := read_number(lr)) is not None},
        grad_norms=ModuleNorms(layout, norms),
        problem=data["problem"],
        retention=_read_look(data.get("retention")),
        updates=UpdateNorms(moved, sizes) if "updates" in data else None,  # type: ignore[arg-type]  # none of them is None
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _look(look: RetentionResult | None) -> dict[str, Any] | None:
    return None if look is None else {"loss": number(look.loss), "kl": number(look.kl)}


def _read_look(data: Mapping[str, Any] | None) -> RetentionResult | None:
    return None if data is None else RetentionResult(read_number(data["loss"]), read_number(data["kl"]))  # type: ignore[arg-type]


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, allow_nan=False, ensure_ascii=False).encode() + b"\n"
