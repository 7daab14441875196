"""Runs of a folder as a page shows them: the list, one that is open, two side by side; the trait ``runs_state``
(tests/wire/README.md). Who reads the folders is ``engine.runs.page_rows``, who asks ``session.run_browser``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..history.run_diff import RunDiff
from ..language.format import printable
from ..tree.components import LABELS
from .messages import VERSION, number

SHOWN = 200
"""Runs of one list, the newest."""
_TEXT = 300  # characters of one text: a page shows a sentence, whatever a folder holds
_DIGEST = re.compile("[0-9a-f]{64}")
_MODEL = {
    "identity": "weights",
    "trainable_params": "parameters that train",
    "adapter_params": "parameters of adapters",
}


@dataclass(frozen=True)
class RunRow:
    """One line of the list.

    Attributes:
        name: Of the run's folder.
        began: Seconds since 1970; None where it is unknown.
        phase: As of ``RunState``; "unreadable" where it cannot be read.
        sentence: What it trains; of one that cannot be read, why.
        steps: Taken.
        of: Asked for; None where it is unknown.
        loss: Of the last step.
        eval_loss: Of the last look at held-out data.
        verdicts: How many components are ok, warned of, and do not train.
        seconds: Of all its steps.
    """

    name: str
    began: float | None
    phase: str
    sentence: str
    steps: int = 0
    of: int | None = None
    loss: float | None = None
    eval_loss: float | None = None
    verdicts: tuple[int, int, int] = (0, 0, 0)
    seconds: float = 0.0


@dataclass(frozen=True)
class RunOpened:
    """One run, looked at.

    Attributes:
        row: Its line.
        model: What it trained, and on which device.
        message: Why it ended early; "" where it did not.
        verdicts: Label, status, text of each component.
        settings: Name and value of what is not as by default.
        points: Its losses, as ``core.history.curve_points`` writes them.
        why_not: Why its strategy cannot be taken over here; None where it can.
    """

    row: RunRow
    model: str
    message: str
    verdicts: tuple[tuple[str, str, str], ...]
    settings: tuple[tuple[str, str], ...]
    points: bytes = field(repr=False)
    why_not: str | None = None


@dataclass(frozen=True)
class RunsCompared:
    """Two runs side by side.

    Attributes:
        diff: What was otherwise.
        points: The losses of both.
    """

    diff: RunDiff
    points: tuple[bytes, bytes] = field(repr=False)


@dataclass(frozen=True)
class RunList:
    """One look at the runs of a folder.

    Attributes:
        folder: Whose runs are listed.
        recording: Whether the bursts of this session are written there.
        waiting: Whether something is being read.
        rows: The newest first; None until requested.
        more: Older ones that are not listed.
        opened: The run that is open.
        compared: Two of them.
        report: Where the last report lies; "" before.
        problem: What could not be done; "" where all could.
    """

    folder: str
    recording: bool
    waiting: bool = False
    rows: tuple[RunRow, ...] | None = None
    more: int = 0
    opened: RunOpened | None = None
    compared: RunsCompared | None = None
    report: str = ""
    problem: str = ""


def runs_state(run_list: RunList) -> dict[str, Any]:
    """The trait ``runs_state``."""
    return {
        "v": VERSION,
        "folder": cut(run_list.folder),
        "recording": run_list.recording,
        "waiting": run_list.waiting,
        "rows": None if run_list.rows is None else [_row(row) for row in run_list.rows],
        "more": run_list.more,
        "opened": None if run_list.opened is None else _opened(run_list.opened),
        "compared": None if run_list.compared is None else _compared(run_list.compared),
        "report": cut(run_list.report),
        "problem": cut(run_list.problem),
    }


def _short(value: object) -> object:
    """A digest by its beginning, which is enough to tell two apart."""
    return f"{value[:12]}…" if isinstance(value, str) and _DIGEST.fullmatch(value) else value


def cut(text: object) -> str:
    """An untrusted text from a folder: one line, of a length that fits."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= _TEXT else f"{line[: _TEXT - 1]}…"


def _row(row: RunRow) -> dict[str, Any]:
    numbers = {name: number(getattr(row, name)) for name in ("began", "loss", "eval_loss", "seconds")}
    texts = {name: cut(getattr(row, name)) for name in ("name", "phase", "sentence")}
    return {**asdict(row), **numbers, **texts, "verdicts": list(row.verdicts)}


def _opened(opened: RunOpened) -> dict[str, Any]:
    return {
        "row": _row(opened.row),
        "model": cut(opened.model),
        "message": cut(opened.message),
        "verdicts": [[cut(label), cut(status), cut(text)] for label, status, text in opened.verdicts],
        "settings": [[cut(name), cut(value)] for name, value in opened.settings],
        "points": opened.points,
        "why_not": None if opened.why_not is None else cut(opened.why_not),
    }


def _compared(compared: RunsCompared) -> dict[str, Any]:
    diff = compared.diff
    strategy = {
        f"{LABELS.get(target, target or 'all others')} {what}": pair
        for target, differing in diff.components.items()
        for what, pair in differing.items()
    }
    model = {_MODEL.get(name, name): tuple(map(_short, pair)) for name, pair in diff.model.items()}
    parts: Sequence[tuple[str, Mapping[str, tuple[object, ...]]]] = (
        ("strategy", strategy), ("settings", diff.settings), ("model", model), ("versions", diff.versions),
    )  # fmt: skip
    return {
        "names": [cut(name) for name in diff.names],
        "differences": [
            [part, cut(name), *("" if v is None else cut(v) for v in pair)]
            for part, pairs in parts
            for name, pair in list(pairs.items())[:SHOWN]
        ],
        "data": diff.data_words,
        "same_until": diff.same_until,
        "points": list(compared.points),
    }
