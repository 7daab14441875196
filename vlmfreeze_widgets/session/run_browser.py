"""A session's runs on the disk: whether its bursts are written down, and a look at what lies there.

Folders are read on a thread of their own, so that no slow disk blocks a burst. What is written is
``engine.burst.recorder``'s, what is read ``engine.runs.page_rows``'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import BadState, VlmFreezeError
from ..core.shorten import shorten
from ..core.strategy.strategy import Strategy
from ..core.wire.runs_state import RunList, cut
from ..engine.burst.burst import Burst
from ..engine.burst.result import BurstResult
from ..engine.runs.page_rows import Seen, compared, list_rows, opened, read_run
from .burst_hooks import BurstHooks
from .checkpoints import Checkpoints
from .context import SessionContext
from .handover import below
from .strategy_editor import StrategyEditor
from .worker import Worker

RUNS = "runs"
"""The folder that a page proposes."""


class RunBrowser:
    """Lists, opens and compares the recorded runs of a folder.

    Args:
        context: Of the session; ``record`` sets its ``run_folder``.
        editor: Its strategy, which ``take_strategy`` replaces.
        checkpoints: Written below the same folder.

    Attributes:
        run_list: The runs of the folder, as far as they were asked for.
        hooks: What it does with each burst.
    """

    def __init__(self, context: SessionContext, editor: StrategyEditor, checkpoints: Checkpoints) -> None:
        self._context = context
        self._editor = editor
        self._checkpoints = checkpoints
        self._reader = Worker(self._not_read)
        self._seen: Seen = {}
        self._strategy_at_hand: tuple[str, Strategy] | None = None
        self._listed: Path | None = None  # the run folder of the present burst, once it is among the rows
        self.run_list = RunList(str(context.run_folder or checkpoints.folder), recording=context.run_folder is not None)
        self.hooks = BurstHooks(made=self._made, between=self._between, over=self._over)

    def record(self, folder: str | Path | None = RUNS) -> None:
        """Writes every burst from the next one on below a folder, or none any more.

        Args:
            folder: Is made by the first burst; None: nothing is written.
        """
        with self._context.lock:
            self._context.run_folder = None if folder is None else Path(folder).absolute()
            if self._context.run_folder is not None:
                self._checkpoints.save_below(self._context.run_folder)
            self._look_into(self._context.run_folder or Path(self.run_list.folder))

    def record_here(self, folder: str) -> None:
        """As ``record``, for a folder that a page names: below the working folder only.

        Raises:
            CannotSave: It lies elsewhere.
        """
        self.record(below(Path.cwd().resolve(), folder) if folder.strip() else None)

    def look_for_runs(self) -> None:
        """Starts to read the runs of the folder, on a thread of their own; ``run_list.rows`` lists them then."""
        self._replace(waiting=True, problem="")
        self._reader.post(self._read_rows)

    def open_run(self, name: str) -> None:
        """Starts to read one run; ``run_list.opened`` holds it then. "" closes the one that is open."""
        if not name:
            with self._context.lock:
                self._strategy_at_hand = None
                self._replace(opened=None)
            return
        self._replace(waiting=True, problem="")
        self._reader.post(lambda: self._read_one(name))

    def compare_runs(self, name: str, other: str) -> None:
        """Starts to read two runs; ``run_list.compared`` says then what differs.

        Args:
            name: Of a run of the folder; "" closes the comparison.
            other: Of the run that it is compared with.
        """
        if not name:
            self._replace(compared=None)
            return
        self._replace(waiting=True, problem="")
        self._reader.post(lambda: self._read_two(name, other))

    def take_strategy(self, name: str) -> None:
        """The strategy of the run that is open becomes that of this session, as one undoable edit.

        Raises:
            BadState: Another run is open, or none.
            UnknownTarget: The model does not have what it names.
        """
        if self._strategy_at_hand is None or self._strategy_at_hand[0] != name:
            raise BadState(
                "The strategy of this run is not at hand.", expected="the run that is open", found=shorten(repr(name), 80),
                remedy="Open the run first.",
            )  # fmt: skip
        self._editor.set_strategy(self._strategy_at_hand[1])

    def report_run(self, name: str, write: Callable[[Path, Path], Path]) -> None:
        """Starts to write a report of a run beside its folder; ``run_list.report`` says then where it lies.

        Args:
            name: Of a run of the folder.
            write: Writes the report of a run's folder at a path, over nothing.
        """
        self._replace(waiting=True, problem="", report="")
        self._reader.post(lambda: self._write_report(name, write))

    def wait_for_runs(self, timeout: float | None = None) -> bool:
        """Blocks until what was asked of the runs is read; False when the time was up first."""
        return self._reader.wait(timeout)

    def _look_into(self, folder: Path) -> None:
        if str(folder) != self.run_list.folder:
            self._seen = {}
            self._strategy_at_hand = None
            self.run_list = RunList(str(folder), recording=False)
        self._replace(recording=self._context.run_folder is not None)
        self.look_for_runs()

    def _replace(self, **changes: Any) -> None:  # fields of RunList
        with self._context.lock:
            self.run_list = replace(self.run_list, **changes)
        self._context.tell("runs")

    # What follows is done by the reader.

    def _read_rows(self) -> None:
        folder = self.run_list.folder
        rows, more = list_rows(Path(folder), self._seen)
        self._put(folder, rows=rows, more=more)

    def _read_one(self, name: str) -> None:
        folder = self.run_list.folder
        run = read_run(Path(folder), name)
        shown = opened(run, self._context.tree)
        with self._context.lock:
            if self._put(folder, opened=shown):
                self._strategy_at_hand = (name, run.strategy)

    def _read_two(self, name: str, other: str) -> None:
        folder = self.run_list.folder
        self._put(folder, compared=compared(read_run(Path(folder), name), read_run(Path(folder), other)))

    def _write_report(self, name: str, write: Callable[[Path, Path], Path]) -> None:
        folder = Path(self.run_list.folder)
        source = read_run(folder, name).folder
        number = 1
        # A link that leads nowhere is there too: written through it, the report would lie where a stranger wants it.
        while os.path.lexists(target := folder / (f"{name}.html" if number == 1 else f"{name}-{number}.html")):
            number += 1
        self._put(str(folder), report=str(write(source, target)))

    def _put(self, folder: str, **changes: Any) -> bool:  # fields of RunList
        with self._context.lock:
            # Of a folder that was changed meanwhile nothing is of use.
            is_wanted = folder == self.run_list.folder
            if is_wanted:
                self._replace(waiting=False, **changes)
            return is_wanted

    def _not_read(self, error: BaseException) -> None:
        problem = str(error) if isinstance(error, VlmFreezeError) else f"{type(error).__name__}: {error}"
        self._replace(waiting=False, problem=cut(problem))

    def end(self) -> None:
        """Takes no more requests; what was asked of the runs is still read."""
        self._reader.end()

    def close(self, timeout: float) -> bool:
        """Ends the thread that reads runs; False when the time was up first."""
        return self._reader.close(timeout)

    # What follows is done by the worker.

    def _made(self, _: Burst) -> None:
        self._listed = None

    def _between(self, burst: Burst) -> None:
        folder, before = burst.recording.folder, self._listed
        self._listed = folder
        if folder is not None and folder != before and self.run_list.rows is not None:
            self.look_for_runs()

    def _over(self, burst: Burst, _: BurstResult) -> None:
        if burst.recording.folder is not None and self.run_list.rows is not None:
            self.look_for_runs()
