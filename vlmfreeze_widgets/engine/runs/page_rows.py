"""Runs of a folder read for a page: one that cannot be read is a line that says so, and nothing in a folder can hold the reader up.

``engine.runs.load`` reads a run; here it is looked at first, since the folder may be anybody's.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from ...core.errors import BadState, VlmFreezeError
from ...core.history.curve_points import curve_points
from ...core.language.format import size
from ...core.shorten import shorten
from ...core.strategy.resolve import resolve
from ...core.tree.tree import ModuleTree
from ...core.wire.runs_state import SHOWN, RunOpened, RunRow, RunsCompared, cut
from ..settings import BurstSettings
from .load import load_run
from .run import Run
from .run_folder import ABOUT, HISTORY

_LARGEST = 256 << 20  # bytes of one file that is read
_FILES = 1000  # entries of one run's folder
_RESULT = "history.json"

Seen = dict[str, tuple[object, RunRow]]
"""Name -> what its files looked like when they were read, and the line that was made of them."""


def list_rows(folder: Path, seen: Seen) -> tuple[tuple[RunRow, ...], int]:
    """A line for each run below a folder, the newest first, and how many older ones were left out.

    Args:
        folder: What was given as ``run_folder``; one that is not there has no runs.
        seen: From the last look; what has not changed since is not read again. Is brought up to date.
    """
    try:
        found = [path for path in folder.iterdir() if _may_be_run(path)]
    except OSError:
        return (), 0
    found.sort(key=_changed, reverse=True)
    rows = []
    for path in found[:SHOWN]:
        print_ = _fingerprint(path)
        known = seen.get(path.name)
        if known is None or known[0] != print_:
            known = (print_, _row_of(path))
            seen[path.name] = known
        rows.append(known[1])
    rows.sort(key=lambda row: row.began or 0.0, reverse=True)
    return tuple(rows), len(found[SHOWN:])


def read_run(folder: Path, name: str) -> Run:
    """One run of a folder.

    Args:
        folder: Of all runs.
        name: Of the run's folder, as a list named it.

    Raises:
        BadState: It cannot be read, whatever the reason.
    """
    path = folder / name
    if not name or path.name != name or path.parent != folder or not _may_be_run(path):
        raise _unreadable(name, "no run of this folder")
    _check(path)
    try:
        return load_run(path)
    except VlmFreezeError:
        raise
    except (Exception, RecursionError) as error:  # files of a stranger
        raise _unreadable(name, f"{type(error).__name__}: {error}") from error


def opened(run: Run, tree: ModuleTree) -> RunOpened:
    """What a page shows of a run.

    Args:
        run: Read before.
        tree: Of the model at hand, on which its strategy would be taken over.
    """
    why_not = None
    try:
        resolve(run.strategy, tree)
    except VlmFreezeError as error:
        why_not = str(error)
    model = run.about.model if run.about is not None else {}
    facts = [str(model[key]) for key in ("title", "dtype", "device") if model.get(key)]
    failure = run.state.error or {}
    return RunOpened(
        row_of(run), " · ".join(facts), str(failure.get("message") or run.state.message or ""),
        tuple((v.label, v.status, v.text) for v in run.verdicts), _settings(run.settings), curve_points(run.history), why_not,
    )  # fmt: skip


def compared(here: Run, there: Run) -> RunsCompared:
    """Two runs side by side."""
    return RunsCompared(here.diff(there), (curve_points(here.history), curve_points(there.history)))


def row_of(run: Run) -> RunRow:
    """The line of a run."""
    row = run.row()
    counts = [sum(v.status == status for v in run.verdicts) for status in ("ok", "warning", "failure")]
    wanted = row["of"]
    return RunRow(
        run.name, _number(row["began"]) or _changed(run.folder), str(row["phase"]), cut(row["strategy"]),
        int(row["steps"]), int(wanted) if isinstance(wanted, int) else None, _number(row["loss"]), _number(row["eval_loss"]),
        (counts[0], counts[1], counts[2]), sum(r.seconds for r in run.history),
    )  # fmt: skip


def _row_of(path: Path) -> RunRow:
    try:
        return row_of(read_run(path.parent, path.name))
    except (Exception, RecursionError) as error:  # files of a stranger
        facts = error.found if isinstance(error, VlmFreezeError) else f"{type(error).__name__}: {error}"
        return RunRow(path.name, _changed(path), "unreadable", cut(facts))


def _settings(settings: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    usual = {field.name: field.default for field in fields(BurstSettings)}
    kept = [(k, v) for k, v in settings.items() if k == "steps" or (usual.get(k) != v and usual.get(k) != _tuple(v))]
    return tuple((str(name), str(value)) for name, value in kept)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _may_be_run(path: Path) -> bool:
    """A folder of its own, not a link to elsewhere, with a file that a run has."""
    try:
        return (
            not path.name.startswith(".")
            and not path.is_symlink()
            and path.is_dir()
            and any((path / name).is_file() for name in (ABOUT, HISTORY, _RESULT))
        )
    except OSError:
        return False


def _check(path: Path) -> None:
    """Reading must come to an end: no pipe without a writer, no device, no file without end."""
    try:
        for count, entry in enumerate(path.iterdir()):
            state = entry.lstat()
            if count > _FILES:
                raise _unreadable(path.name, f"more than {_FILES} files")
            if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
                raise _unreadable(path.name, f"{entry.name} is no plain file")
            if state.st_size > _LARGEST and entry.suffix in (".json", ".jsonl"):
                raise _unreadable(path.name, f"{entry.name} has {size(state.st_size)}")
    except OSError as error:
        raise _unreadable(path.name, str(error.strerror or error)) from error


def _fingerprint(path: Path) -> object:
    try:
        return sorted((e.name, e.stat().st_mtime_ns, e.stat().st_size) for e in list(path.iterdir())[:_FILES])
    except OSError:
        return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _unreadable(name: str, found: str) -> BadState:
    return BadState(
        f"The run {shorten(name, 80)!r} cannot be read.",
        expected="a folder that a burst, a launched run or a saved result wrote",
        found=found[:160],
        remedy="Look at the list again, or read another run.",
    )
