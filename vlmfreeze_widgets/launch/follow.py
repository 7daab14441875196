"""Follows a run that another process makes: a history that grows as its file grows. Nothing is written here."""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path

from ..core.arguments import PATH, checked
from ..core.errors import VlmFreezeError
from ..core.history.history import History
from ..core.history.jsonl import HistoryLines
from ..core.history.norms import NormLayout
from ..core.history.process_status import RunState
from ..engine.runs.run_folder import HISTORY, ask_to_stop, gone, is_gone, read_state

POLLS_PER_SECOND = 4.0


class FollowedHistory(History):
    """The history of a run in another process. It ends by itself when the run does.

    Args:
        folder: The run's output folder; it need not exist yet.

    Attributes:
        run: Where the run stands; "failed", with a remedy, also when its process is gone without a word.

    Examples:
        >>> vf.BurstMonitor(vf.follow("big-run/run"))
    """

    run: RunState

    @checked(folder=PATH)
    def __init__(self, folder: str | Path) -> None:
        super().__init__(NormLayout((), (), ()))
        self.folder = Path(folder)
        self._show(RunState())
        self._lines = HistoryLines(self)
        self._read = 0
        self._suspect = False
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        if not self._look():
            self._thread = threading.Thread(
                target=_poll, args=(weakref.ref(self), self._closed), name="vlmfreeze-follow", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Looks no more. What was read stays."""
        self._closed.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def stop(self) -> None:
        """Asks the run to stop after its present step; what has trained is saved."""
        ask_to_stop(self.folder)

    def wait(self, seconds: float | None = None) -> RunState:
        """Waits until the run has ended (or the time is up) and gives its last state."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self.run.ended and not self._closed.is_set() and (until is None or time.monotonic() < until):
            time.sleep(0.02)
        return self.run

    def __enter__(self) -> FollowedHistory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _show(self, run: RunState) -> None:
        self.run = run
        where = (
            "waiting for its first word" if run.phase == "waiting" else f"{run.phase}, step {run.step} / {run.steps}"
        )
        self.heading = f"{self.folder.name}: {where}"

    def _look(self) -> bool:
        """Reads what is new; whether nothing more will come."""
        try:
            # The state first: what it says was written after the lines that belong to it.
            state = read_state(self.folder)
            self._read_lines()
            if not state.ended and is_gone(state):
                # It may have ended in good order since the state was read: gone is who is gone at a second look too.
                if not self._suspect:
                    self._suspect = True
                    return False
                state = replace(state, phase="failed", error=gone(state, len(self)).to_dict())
        except VlmFreezeError as error:
            state = replace(self.run, phase="failed", error=error.to_dict())
        changed = state != self.run
        self._show(state)
        if changed:
            self.tell()
        return state.ended

    def _read_lines(self) -> None:
        try:
            with (self.folder / HISTORY).open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return
        self._read += len(data)
        self._lines.feed(data)


def follow(folder: str | Path) -> FollowedHistory:
    """The history of a run in another process, growing four times a second until the run has ended or ``close()``.

    Args:
        folder: The run's output folder ("output" of the recipe); it need not exist yet.
    """
    return FollowedHistory(folder)


def _poll(follower: weakref.ref[FollowedHistory], closed: threading.Event) -> None:
    while not closed.wait(1 / POLLS_PER_SECOND):
        followed = follower()
        if followed is None or followed._look():
            return
        del followed  # dropped by its owner, it must not live on for this thread
