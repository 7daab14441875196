"""The folder of a run as it is written: history.jsonl, append-only, and status.json, replaced in one piece.

Both a burst in the notebook (``engine.burst.recorder``) and a run of several processes (``launch.run``) write it. A live one is
followed by ``launch.follow``; one that lies there is read by ``engine.runs.load``.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...core.atomic_files import replace_file
from ...core.errors import BadState, CannotSave
from ...core.history.history import History, StepRecord
from ...core.history.jsonl import end_line, header_line, record_line, status_line
from ...core.history.process_status import RunState

HISTORY = "history.jsonl"
STATUS = "status.json"
RESULT = "result"
STOP = "stop"
ABOUT = "about.json"
FROZEN = "frozen.json"
MAP = "map.json"


class RunFolder:
    """What the processes of one run write. The main process writes all; another one only that it failed.

    Args:
        path: Is made where it is missing.
        steps: Asked for.
        processes: How many train together.

    Attributes:
        state: As written last by this process.
    """

    def __init__(self, path: str | Path, steps: int, processes: int = 1) -> None:
        self.path = Path(path)
        self._file: int | None = None
        pid = os.getpid()
        self.state = RunState(
            pid=pid, host=socket.gethostname(), born=birth_of(pid), steps=steps, processes=processes
        )  # fmt: skip

    def open(self) -> None:
        """Begins the run: from here on a follower sees that it is being prepared.

        Raises:
            CannotSave: The folder holds a run already, or cannot be written.
        """
        if any((self.path / name).exists() for name in (HISTORY, RESULT)):
            raise CannotSave(
                "This folder holds a run already.",
                expected="a new output folder: results are never overwritten",
                found=str(self.path),
                remedy="Give a new folder ('output' in a recipe).",
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / STOP).unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error
        self.show(phase="preparing")

    def show(self, **changes: object) -> None:
        """Changes fields of the state and writes it in one piece.

        Raises:
            CannotSave: The disk refuses.
        """
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # names of fields
        try:
            # At every step: no step waits for the disk.
            replace_file(self.path / STATUS, json.dumps(self.state.to_dict()) + "\n", wait=False)
        except CannotSave as error:
            raise self._refused(error.__cause__) from error

    def fail(self, error: Mapping[str, str]) -> bool:
        """Says that the run failed. An earlier process's report stays: the first failure is the cause of the others.

        Returns:
            Whether this was the first.
        """
        if read_state(self.path).phase == "failed":
            return False
        self.show(phase="failed", error=dict(error))
        return True

    def stop_requested(self) -> bool:
        """Whether the run was requested to stop by ``ask_to_stop``."""
        return (self.path / STOP).exists()

    def begin(self, history: History) -> None:
        """Writes the header of the history."""
        self._append(header_line(history, self.state.processes))

    def add(self, record: StepRecord, words: str = "") -> None:
        """Writes a step: in the file, whatever happens to this process afterwards.

        Args:
            record: The step.
            words: A digest of what it read; "" where that is not known.
        """
        self._append(record_line(record, words))

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Writes a line between the steps."""
        self._append(status_line(kind, data))

    def end(self, history: History, phase: str, message: str | None) -> None:
        """Writes the last line of the history."""
        self._append(end_line(history, phase, message))
        self.close()

    def close(self) -> None:
        """Closes the file; what was written stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, line: bytes) -> None:
        try:
            if self._file is None:
                self._file = os.open(self.path / HISTORY, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            # One write per line, past Python's buffers.
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: BaseException | None) -> CannotSave:
        return CannotSave(
            "The run folder cannot be written.",
            expected="a folder with room, on which this process may write",
            found=f"{self.path}: {getattr(error, 'strerror', None) or error}",
            remedy="Free some room, or give another folder ('output' in a recipe).",
        )


def read_state(path: Path) -> RunState:
    """What status.json says; "waiting" while there is none."""
    try:
        return RunState.from_dict(json.loads((path / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        return RunState()


def ask_to_stop(path: Path) -> None:
    """Asks a run to stop after its present step and to save what it has; by a file, since the run may be anybody's child."""
    (path / STOP).touch()


def birth_of(pid: int) -> str | None:
    """When a process began, in ticks since the start of the machine; None where the system does not say, or it is gone."""
    return _fields_of(pid)[1]


def is_gone(state: RunState) -> bool:
    """Whether the main process of a run has ended, as far as is known here: not from another machine."""
    if not state.pid or state.host != socket.gethostname() or os.name != "posix":
        return False
    try:
        os.kill(state.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    kind, born = _fields_of(state.pid)
    return kind in ("Z", "X") or (None not in (born, state.born) and born != state.born)


def gone(state: RunState, steps: int) -> BadState:
    """The text on a run whose process ended without a word after so many steps."""
    return BadState(
        f"The run is gone without a word after step {steps}.",
        expected=f"process {state.pid} on {state.host or 'this machine'}, which was {state.phase}",
        found="no such process: it was killed, or the machine ran out of memory",
        remedy="All steps up to here are kept. Look at the terminal of the run, then start it again with a new folder.",
    )


def _fields_of(pid: int) -> tuple[str | None, str | None]:
    """State letter and start time from Linux's /proc; the name before them may hold blanks and brackets."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None, None
    return fields[0], fields[19]
