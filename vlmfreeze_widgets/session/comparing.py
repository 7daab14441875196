"""Comparisons of a session: contenders take turns on the worker thread. The model is given back between two turns and at the end,
so nothing is left to decide. Who takes part is ``session.lineup``, what a comparison is ``engine.comparison.comparison``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from ..core.comparison.ablation import Ablation, corners
from ..core.comparison.board import Board
from ..core.errors import VlmFreezeError
from ..core.language.format import first_line
from ..core.language.phrase import say
from ..core.wire.compare_state import CompareStatus
from ..core.wire.run_state import Phase
from ..engine.comparison.comparison import Comparison
from ..engine.comparison.turn_scheduler import ComparedStep
from ..engine.settings import BurstSettings
from .lineup import TUNINGS, Lineup
from .obstacle import Obstacle, not_now

_LOOK = 0.3  # seconds between two boards; each judges all pairs
_OWN = ("steps", "seed", "on_out_of_memory")  # settings that a comparison gives itself


class Comparing(Lineup):
    """A session that can compare strategies."""

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - those of Lineup
        super().__init__(*args, **named)
        self._goes_on = threading.Event()
        self._goes_on.set()

    @property
    def why_no_comparison(self) -> str | None:
        """Why no comparison can start now; None where one can."""
        with self._lock:
            obstacle = self._obstacle_to_any()
            return None if obstacle is None else obstacle.why

    def compare(self) -> None:
        """Starts the comparison on the worker thread and returns at once. ``compared`` grows; an undecided burst stays undecided.

        Raises:
            WrongPhase: Nobody takes part, somebody cannot, or the model is busy.
        """
        with self._lock:
            obstacle = self._obstacle_to_any() or self._obstacle_to_comparing()
            if obstacle is not None:
                expected = "a free model, batches, and contenders that train"
                raise not_now(obstacle, "No comparison can start now.", expected)
            before = self._status.phase
            self._stop.clear()
            self._goes_on.set()
            self.comparison = None
            self._leaving.clear()
            self._show(status="running", board=None, done=0.0, eta_seconds=None, message="", pays="")
            self._set(phase="comparing", error=None)
            self._worker.post(lambda: self._compare("idle" if before == "failed" else before))

    def pause_comparing(self) -> None:
        """Holds the comparison after the step that is being taken.

        Raises:
            WrongPhase: None is running.
        """
        self._hold("running", "paused", self._goes_on.clear)

    def go_on_comparing(self) -> None:
        """Goes on after a pause.

        Raises:
            WrongPhase: None is paused.
        """
        self._hold("paused", "running", self._goes_on.set)

    def stop(self) -> None:
        """Ends the burst or the comparison that runs, between two micro-batches."""
        with self._lock:
            if self.compared.is_busy:
                self._stop.set()
                self._goes_on.set()
                if self.comparison is not None:
                    self.comparison.stop()
                return
        super().stop()

    def _leave(self) -> None:
        self.comparison = None
        super()._leave()

    # What follows is asked under the lock.

    def _obstacle_to_comparing(self) -> Obstacle | None:
        if not self.compared.candidates:
            return Obstacle(say("nobody takes part: add a strategy"), "Add one: bench.add_contender().")
        refused = (
            Obstacle(
                f"{c.name}: {c.refusal}", f"Take {c.name!r} out, or give it another strategy: bench.add_contender()."
            )
            for c in self.compared.candidates
            if c.refusal
        )
        return next(refused, None)

    def _hold(self, now: CompareStatus, then: CompareStatus, do: Callable[[], None]) -> None:
        with self._lock:
            if self.compared.status != now:
                why = f"the comparison is {self.compared.status}"
                remedy = "Start one: bench.compare()." if now == "running" else "Pause it first."
                raise not_now(Obstacle(why, remedy), "That is not possible now.", f"a comparison that is {now}")
            do()
            self._show(status=then)

    # What follows is done on the worker.

    def _compare(self, after: Phase) -> None:
        looked, began = 0.0, time.monotonic()
        comparison: Comparison | None = None
        error: BaseException | None = None
        try:
            comparison = self._make_comparison()
            with comparison:
                self._hand_on(comparison)
                for taken, _ in enumerate(self._steps_of(comparison), 1):
                    if time.monotonic() - looked >= _LOOK:
                        self._look_at(comparison, taken, began)
                        looked = time.monotonic()
        except BaseException as failed:  # SystemExit of somebody's batches too: the session must be free again
            error = failed
        with self._lock:
            try:
                if comparison is not None:
                    board = comparison.board()
                    self.compared = replace(self.compared, board=board, pays=self._what_pays(board))
            except Exception as failed:
                error = error or failed
            stopped = say("Stopped.") if self._stop.is_set() else ""
            self._show(
                status="open" if comparison is None else "over", done=1.0, eta_seconds=None,
                message=stopped if error is None else first_line(error),
            )  # fmt: skip
            if error is not None:
                self._fail(error, after if isinstance(error, VlmFreezeError) and after != "idle" else "failed")
            else:
                self._set(phase=after)

    def _hand_on(self, comparison: Comparison) -> None:
        """Those who joined, left or stopped all of it while it was being made."""
        with self._lock:
            self.comparison = comparison
            known = {entry.name for entry in comparison.board().entries}
            for candidate in self.compared.candidates:
                if candidate.name not in known:
                    comparison.add(candidate.name, candidate.strategy)
            for name in self._leaving:
                comparison.stop(name)
            if self._stop.is_set():
                comparison.stop()

    def _what_pays(self, board: Board) -> str:
        made = corners(self._corners, TUNINGS) if self._corners else {}
        there = {e.name for e in board.entries if e.runs and e.state == "finished"}
        return Ablation(board, self._corners, made).sentence if made and made.keys() <= there else ""

    def _steps_of(self, comparison: Comparison) -> Iterator[ComparedStep]:
        for step in comparison:
            yield step
            self._goes_on.wait()

    def _make_comparison(self) -> Comparison:
        assert self._model is not None
        shared = {f.name: getattr(self.settings, f.name) for f in fields(BurstSettings) if f.name not in _OWN}
        return Comparison(
            self._model,
            {c.name: c.strategy for c in self.compared.candidates},
            self._feed,
            eval_batches=self._watched.get("eval_batches"),
            retention_batches=self._watched.get("retention_batches"),
            steps=self.compared.steps,
            seeds=[self.settings.seed + i for i in range(self.compared.seeds)],
            keep_results=False,
            **shared,
        )

    def _look_at(self, comparison: Comparison, taken: int, began: float) -> None:
        with self._lock:
            board = comparison.board()
            runs = sum(e.state in ("running", "finished") for e in board.entries)
            total = max(taken, runs * self.compared.steps * self.compared.seeds)
            left = (time.monotonic() - began) / taken * (total - taken)
            self._show(board=board, done=taken / total, eta_seconds=left)
