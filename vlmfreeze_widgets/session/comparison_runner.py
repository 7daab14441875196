"""Comparisons of a session: contenders take turns on the worker thread. The model is restored between two turns and at the end,
so nothing is left to decide. Who takes part is ``session.contenders``, what a comparison is ``engine.comparison.comparison``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
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
from .contenders import TUNINGS, Contenders
from .context import SessionContext
from .obstacle import Obstacle, not_now

_LOOK = 0.3  # seconds between two boards; each judges all pairs
_OWN = ("steps", "seed", "on_out_of_memory")  # settings that a comparison gives itself


class ComparisonRunner:
    """Runs the comparison of one session.

    Args:
        context: Of the session.
        contenders: Who takes part.
        feed: Gives the micro-batches.
    """

    def __init__(self, context: SessionContext, contenders: Contenders, feed: Callable[[], Iterable[Any]]) -> None:
        self._context = context
        self._contenders = contenders
        self._feed = feed
        self._goes_on = threading.Event()
        self._goes_on.set()

    def run(self) -> None:
        """Starts the comparison on the worker thread and returns at once. ``compared`` grows; an undecided burst stays undecided.

        Raises:
            WrongPhase: There is no contender, one cannot take part, or the model is busy.
        """
        with self._context.lock:
            obstacle = self._context.obstacle() or self._obstacle_to_comparing()
            if obstacle is not None:
                expected = "a free model, batches, and contenders that train"
                raise not_now(obstacle, "No comparison can start now.", expected)
            before = self._context.status.phase
            self._context.stop_requested.clear()
            self._goes_on.set()
            self._contenders.comparison = None
            self._contenders.leaving.clear()
            self._contenders.show(status="running", board=None, done=0.0, eta_seconds=None, message="", pays="")
            self._context.set(phase="comparing", error=None)
            self._context.worker.post(lambda: self._compare("idle" if before == "failed" else before))

    def pause(self) -> None:
        """Holds the comparison after the step that is being taken.

        Raises:
            WrongPhase: None is running.
        """
        self._hold("running", "paused", self._goes_on.clear)

    def resume(self) -> None:
        """Goes on after a pause.

        Raises:
            WrongPhase: None is paused.
        """
        self._hold("paused", "running", self._goes_on.set)

    def stop(self) -> bool:
        """Ends the comparison between two micro-batches; under the lock.

        Returns:
            False where none runs.
        """
        if not self._contenders.compared.is_busy:
            return False
        self._context.stop_requested.set()
        self._goes_on.set()
        if self._contenders.comparison is not None:
            self._contenders.comparison.stop()
        return True

    # What follows is asked under the lock.

    def _obstacle_to_comparing(self) -> Obstacle | None:
        if not self._contenders.compared.candidates:
            return Obstacle(say("nobody takes part: add a strategy"), "Add one: bench.add_contender().")
        refused = (
            Obstacle(
                f"{c.name}: {c.refusal}", f"Take {c.name!r} out, or give it another strategy: bench.add_contender()."
            )
            for c in self._contenders.compared.candidates
            if c.refusal
        )
        return next(refused, None)

    def _hold(self, now: CompareStatus, then: CompareStatus, do: Callable[[], None]) -> None:
        with self._context.lock:
            if self._contenders.compared.status != now:
                why = f"the comparison is {self._contenders.compared.status}"
                remedy = "Start one: bench.compare()." if now == "running" else "Pause it first."
                raise not_now(Obstacle(why, remedy), "That is not possible now.", f"a comparison that is {now}")
            do()
            self._contenders.show(status=then)

    # What follows is done on the worker.

    def _compare(self, after: Phase) -> None:
        looked, began = 0.0, time.monotonic()
        comparison: Comparison | None = None
        error: BaseException | None = None
        try:
            comparison = self._make_comparison()
            with comparison:
                self._show_result(comparison)
                for taken, _ in enumerate(self._steps_of(comparison), 1):
                    if time.monotonic() - looked >= _LOOK:
                        self._look_at(comparison, taken, began)
                        looked = time.monotonic()
        except BaseException as failed:  # SystemExit of somebody's batches too: the session must be free again
            error = failed
        with self._context.lock:
            try:
                if comparison is not None:
                    board = comparison.board()
                    self._contenders.compared = replace(
                        self._contenders.compared, board=board, pays=self._what_pays(board)
                    )
            except Exception as failed:
                error = error or failed
            stopped = say("Stopped.") if self._context.stop_requested.is_set() else ""
            self._contenders.show(
                status="open" if comparison is None else "over", done=1.0, eta_seconds=None,
                message=stopped if error is None else first_line(error),
            )  # fmt: skip
            if error is not None:
                self._context.fail(error, after if isinstance(error, VlmFreezeError) and after != "idle" else "failed")
            else:
                self._context.set(phase=after)

    def _show_result(self, comparison: Comparison) -> None:
        """Those who joined, left or stopped all of it while it was being made."""
        with self._context.lock:
            self._contenders.comparison = comparison
            known = {entry.name for entry in comparison.board().entries}
            for candidate in self._contenders.compared.candidates:
                if candidate.name not in known:
                    comparison.add(candidate.name, candidate.strategy)
            for name in self._contenders.leaving:
                comparison.stop(name)
            if self._context.stop_requested.is_set():
                comparison.stop()

    def _what_pays(self, board: Board) -> str:
        made = corners(self._contenders.corners, TUNINGS) if self._contenders.corners else {}
        there = {e.name for e in board.entries if e.runs and e.state == "finished"}
        return Ablation(board, self._contenders.corners, made).sentence if made and made.keys() <= there else ""

    def _steps_of(self, comparison: Comparison) -> Iterator[ComparedStep]:
        for step in comparison:
            yield step
            self._goes_on.wait()

    def _make_comparison(self) -> Comparison:
        assert self._context.model is not None
        shared = {f.name: getattr(self._context.settings, f.name) for f in fields(BurstSettings) if f.name not in _OWN}
        return Comparison(
            self._context.model,
            {c.name: c.strategy for c in self._contenders.compared.candidates},
            self._feed(),
            eval_batches=self._context.inputs.get("eval_batches"),
            retention_batches=self._context.inputs.get("retention_batches"),
            steps=self._contenders.compared.steps,
            seeds=[self._context.settings.seed + i for i in range(self._contenders.compared.seeds)],
            keep_results=False,
            **shared,
        )

    def _look_at(self, comparison: Comparison, taken: int, began: float) -> None:
        with self._context.lock:
            board = comparison.board()
            runs = sum(e.state in ("running", "finished") for e in board.entries)
            total = max(taken, runs * self._contenders.compared.steps * self._contenders.compared.seeds)
            left = (time.monotonic() - began) / taken * (total - taken)
            self._contenders.show(board=board, done=taken / total, eta_seconds=left)
