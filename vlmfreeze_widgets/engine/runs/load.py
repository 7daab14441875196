"""Runs that lie on the disk: one is read as a value (``engine.runs.run``), those of a folder are listed. Nothing is written.

Three kinds of folders are runs: what a burst wrote as it went (``engine.burst.recorder``), what a launched run wrote
(``launch``), and results that were saved (``BurstResult.save``). Of a run that was killed everything is there up to its
last whole line.

Long because the three kinds of folders are read side by side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.arguments import PATH, checked
from ...core.errors import BadState, VlmFreezeError, did_you_mean
from ...core.evidence.verdict import Verdict
from ...core.history.history import History
from ...core.history.jsonl import HistoryLines
from ...core.history.norms import NormLayout
from ...core.history.process_status import RunState
from ...core.history.run_metadata import KIND, RunAbout
from ...core.shorten import shorten
from .atomic_folder import good_manifests, read_manifest
from .run import Run
from .run_folder import ABOUT, HISTORY, gone, is_gone, read_state

_RESULT = "history.json"
_RUNS = "vlmfreeze-runs"


@checked(folder=PATH.raising(BadState))
def load_run(folder: str | Path) -> Run:
    """Reads a run, also one that is still being written, or whose process was killed.

    Args:
        folder: Of one run: ``burst.recording.folder``, "output" of a recipe, or what a result was saved into.

    Raises:
        BadState: There is no run, or another release wrote it.

    Examples:
        >>> run = vf.load_run("runs/run-20260101-120000")
        >>> vf.BurstMonitor(run.history)
    """
    folder = Path(folder)
    return _guarded(folder, lambda: _load(folder))


def _load(folder: Path) -> Run:
    if (folder / ABOUT).exists():
        read_manifest(folder)
        return _read(folder, _about_of(folder))
    if (folder / HISTORY).is_file():
        return _read(folder, None)
    if (folder / _RESULT).is_file():
        return _saved_result(folder)
    raise BadState(
        "There is no run here.",
        expected=f"a folder with {ABOUT}, {HISTORY} or {_RESULT}",
        found=shorten(f"{str(folder)!r}", 160),
        remedy="vf.runs(folder) lists the runs below a folder.",
    )


def _guarded(folder: Path, read: Callable[[], Run]) -> Run:
    """A run whose table row and strategy are known: a folder's files may have been changed.

    Raises:
        BadState: Of whatever kind the damage is.
    """
    try:
        run = read()
        run.row()
        _ = run.strategy, str(run)
    except VlmFreezeError as error:
        if isinstance(error, BadState):
            raise
        raise _spoilt(folder, error) from error
    except (Exception, RecursionError) as error:
        raise _spoilt(folder, error) from error
    return run


def _spoilt(folder: Path, error: BaseException) -> BadState:
    return BadState(
        "This run cannot be read.", expected="the files of a run folder as they were written",
        found=shorten(f"{folder.name}: {type(error).__name__}: {error}", 200),
        remedy="Read another run, or take the folder from a copy.",
    )  # fmt: skip


@checked(folder=PATH.raising(BadState))
def list_runs(folder: str | Path = _RUNS) -> list[Run]:
    """The runs below a folder that load, the oldest first; what a killed process left half written is not among them.

    Raises:
        BadState: There is no such folder.
    """
    return [found for found in _all_below(_existing(folder)) if isinstance(found, Run)]


def _existing(folder: str | Path) -> Path:
    """The folder, which is there. An empty answer for a misspelt name would look like runs that are lost."""
    path = Path(folder).expanduser()
    if path.is_dir():
        return path
    near: list[str] = []
    with suppress(OSError):
        near = [child.name for child in path.absolute().parent.iterdir() if child.is_dir()]
    raise BadState(
        "There is no folder of runs here.",
        expected="a folder that was given as run_folder",
        found=f"{'a file' if path.exists() else 'nothing'} at {str(folder)!r}",
        remedy=did_you_mean(path.name, near) or "vf.Burst(..., run_folder='runs') writes one.",
    )


@dataclass(frozen=True)
class _Unreadable:
    folder: Path
    error: BadState

    def row(self) -> dict[str, Any]:
        return {
            "name": self.folder.name,
            "phase": "unreadable",
            "folder": str(self.folder),
            "problem": self.error.found,
        }


def _all_below(parent: Path) -> list[Run | _Unreadable]:
    """All that looks like a run, the oldest first: what does not load is there with its reason, the others in spite of it."""
    if not parent.is_dir():
        return []
    whole = {path for path, manifest in good_manifests(parent) if manifest.get("kind") == KIND}
    found: list[Run | _Unreadable] = []
    for path in sorted(parent.iterdir()):
        try:
            if path.name.startswith(".") or not path.is_dir() or not _looks_like_run(path):
                continue
            # The manifest of those was read above already.
            found.append(_guarded(path, lambda: _read(path, _about_of(path))) if path in whole else load_run(path))  # noqa: B023
        except BadState as error:
            found.append(_Unreadable(path, error))
        except OSError as error:
            found.append(_Unreadable(path, _spoilt(path, error)))
    return sorted(found, key=_began)


def _looks_like_run(path: Path) -> bool:
    return any((path / name).exists() for name in (ABOUT, HISTORY, _RESULT))


@checked(folder=PATH.raising(BadState))
def runs(folder: str | Path = _RUNS) -> Any:  # pandas.DataFrame
    """The runs below a folder as a pandas DataFrame, one row each, the newest last.

    A folder that cannot be read is a row too, whose "phase" is "unreadable"; the column "problem" says why.

    Args:
        folder: What was given as ``run_folder``; "vlmfreeze-runs" by default.

    Raises:
        BadState: There is no such folder.
        MissingLibrary: pandas is not installed; ``list_runs`` does without.
    """
    from ...adapters.pandas_frames import runs_frame

    return runs_frame(
        [
            found.row() if isinstance(found, _Unreadable) else {**found.row(), "problem": ""}
            for found in _all_below(_existing(folder))
        ]
    )


def rows_below(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the runs below a folder that load, the newest last, and those of the folders that do not, with the "problem"."""
    found = _all_below(folder)
    return [run.row() for run in found if isinstance(run, Run)], [f.row() for f in found if isinstance(f, _Unreadable)]


def _read(folder: Path, about: tuple[RunAbout, RunState] | None) -> Run:
    # The state first: what it says was written after the lines that belong to it.
    state = read_state(folder)
    if about is not None and not state.pid:
        state = about[1]
    history = History(NormLayout((), (), ()))
    if about is not None:
        history.strategy, history.settings = dict(about[0].strategy), dict(about[0].settings)
    lines = HistoryLines(history)
    path = folder / HISTORY
    if path.is_file():
        lines.feed(path.read_bytes())
    if not state.ended and is_gone(state):
        state = replace(state, phase="failed", error=gone(state, len(history)).to_dict())
    state = replace(state, step=len(history))
    history.run = state
    status = lines.status
    return Run(
        folder, state, history,
        verdicts=tuple(Verdict.from_dict(v) for v in status.get("verdicts", {}).get("verdicts", ())),
        about=None if about is None else about[0],
        proof=_without_kind(status.get("proof")),
        data=_without_kind(status.get("data")) or {},
        words=lines.words,
    )  # fmt: skip


def _saved_result(folder: Path) -> Run:
    try:
        history = History.from_json((folder / _RESULT).read_text(encoding="utf-8"))
        judged = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))
        proof = judged.get("proof")
        verdicts = tuple(
            Verdict(v["component"], v["status"], v["text"], v.get("selected", True), dead=tuple(v["dead"]))
            for v in judged["verdicts"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadState(
            "This saved result cannot be read.", expected=f"{_RESULT} and verdicts.json, as they were saved",
            found=shorten(f"{type(error).__name__}: {error}", 160), remedy="Save the result again.",
        ) from error  # fmt: skip
    if proof is not None:
        proof.pop("digests", None)
    problem = judged.get("problem")
    steps = int(history.settings.get("steps", len(history)))
    state = RunState(
        "failed" if problem else "finished" if len(history) >= steps else "stopped",
        step=len(history), steps=steps, message=judged.get("stopped_early"), error=problem,
    )  # fmt: skip
    history.run = state
    return Run(folder, state, history, verdicts, proof=proof)


def _about_of(folder: Path) -> tuple[RunAbout, RunState]:
    try:
        data = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadState(
            "This run cannot be read.", expected=f"{ABOUT} as it was written", found=shorten(error, 160),
            remedy="Read another run.",
        ) from error  # fmt: skip
    # The folder may have been renamed since.
    about = replace(RunAbout.from_dict(data), name=folder.name)
    return about, replace(RunState.from_dict(about.process), phase="preparing")


def _began(run: Run | _Unreadable) -> float:
    if isinstance(run, Run) and run.about is not None:
        return run.about.began
    names = (HISTORY, _RESULT, "") if isinstance(run, Run) else ("",)
    for name in names:
        with suppress(OSError):
            return (run.folder / name).stat().st_mtime
    return 0.0


def _without_kind(line: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if line is None else {name: value for name, value in line.items() if name != "kind"}
