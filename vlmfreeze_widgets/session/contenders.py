"""Who takes part in a comparison of a session: added, removed, copied, taken up. Those who join while it runs are handed on to it.

``session.comparison_runner`` runs it; what is shown of it is ``core.wire.compare_state``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.arguments import found_for, is_whole
from ..core.comparison.ablation import corners
from ..core.comparison.board import Board
from ..core.errors import InvalidStrategy
from ..core.recipes.text import what_trains
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.wire.compare_state import MOST_CONTENDERS, Candidate, Compared
from ..engine.comparison.comparison import Comparison
from .contender_names import check_new, find, free_name, too_many
from .context import SessionContext
from .obstacle import Obstacle, busy, not_now
from .strategy_editor import StrategyEditor

TUNINGS = ("frozen", "full", "lora")
_VARIED = ("vision_tower", "projector", "language_model")


class Contenders:
    """The list of contenders of one session.

    Args:
        context: Of the session.
        editor: Its strategy, which takes part by default.

    Attributes:
        compared: The contenders, and what is known of them.
        comparison: That runs, or ran last; None while one is being made.
        corners: Components whose every choice was added by ``add_corners``; () where that was not done.
        leaving: Names of contenders that stop as soon as the comparison is made.
    """

    def __init__(self, context: SessionContext, editor: StrategyEditor) -> None:
        self._context = context
        self._editor = editor
        self.compared = Compared(steps=min(30, context.settings.steps))
        self.comparison: Comparison | None = None
        self.corners: tuple[str, ...] = ()
        self.leaving: set[str] = set()

    @property
    def watches(self) -> bool:
        """Whether there are held-out batches to judge by."""
        return self._context.inputs.get("eval_batches") is not None

    @property
    def board(self) -> Board | None:
        """What is known of the contenders."""
        return self.compared.board

    def add(self, name: str = "", strategy: Strategy | Mapping[str, Any] | None = None) -> str:
        """Lets a strategy take part, by default the present one; while a comparison runs it joins from the start weights.

        Args:
            name: For the board; without one it gets the strategy's own, or a short one.
            strategy: What trains; None: what is chosen now.

        Returns:
            Its name.

        Raises:
            InvalidStrategy: The name is taken, or there are too many.
            VlmFreezeError: The strategy does not fit the model, or, while a comparison runs, cannot train.
        """
        wanted = self._editor.strategy if strategy is None else strategy
        chosen = wanted if isinstance(wanted, Strategy) else Strategy(wanted)
        with self._context.lock:
            plan = resolve(chosen, self._context.tree)
            name = name.strip()[:60] or free_name(self.compared, chosen.name)
            check_new(self.compared, name)
            refusal = " ".join(w.message for w in plan.refusals)[:300]
            if self.compared.is_busy:
                plan.check()
                if self.comparison is not None:  # else it is being made, and takes the list as it is then
                    self.comparison.add(name, plan)
            elif self.compared.status == "over":
                self.compared = replace(self.compared, status="open", board=None, done=0.0, message="", pays="")
            made = Candidate(name, chosen, what_trains(chosen), refusal)
            self.show(candidates=(*self.compared.candidates, made))
        return name

    def add_all(self, strategies: Mapping[str, Strategy | Mapping[str, Any]]) -> None:
        """Lets several take part, all or none; who is on the list by that name gets the strategy. A cell can be run twice so.

        Raises:
            VlmFreezeError: As for ``add``; none was added then.
            WrongPhase: A comparison is running.
        """
        wanted = {n.strip()[:60]: s if isinstance(s, Strategy) else Strategy(s) for n, s in strategies.items()}
        with self._context.lock:
            if self.compared.is_busy:
                raise not_now(busy("comparing"), "The contenders cannot be changed now.", "no comparison that runs")
            for strategy in wanted.values():
                resolve(strategy, self._context.tree)
            listed = {c.name: c.strategy for c in self.compared.candidates}
            if len(listed | wanted) > MOST_CONTENDERS:
                raise too_many(self.compared)
            for name, strategy in wanted.items():
                if listed.get(name) == strategy:
                    continue
                if name in listed:
                    self.remove(name)
                self.add(name, strategy)

    def add_corners(self) -> int:
        """Adds every choice of frozen, full and LoRA per main component that is not there yet.

        Returns:
            How many were added.

        Raises:
            InvalidStrategy: There would be too many.
        """
        varied = tuple(c for c in _VARIED if c in self._context.tree.components)
        made = corners(varied, TUNINGS)
        new = {name: rules for name, rules in made.items() if self.compared.named(name) is None}
        if len(self.compared.candidates) + len(new) > MOST_CONTENDERS:
            raise too_many(self.compared)
        for name, rules in new.items():
            self.add(name, Strategy(rules, name=name))
        self.corners = varied
        return len(new)

    def remove(self, name: str) -> None:
        """Takes a contender off the list; of a running comparison it is stopped instead, and stays on the board.

        Raises:
            InvalidStrategy: There is no such contender.
        """
        with self._context.lock:
            find(self.compared, name)
            if self.compared.is_busy:
                if self.comparison is None:
                    self.leaving.add(name)
                else:
                    self.comparison.stop(name)
                return
            board = self.compared.board
            left = None if board is None else replace(board, entries=tuple(e for e in board.entries if e.name != name))
            self.compared = replace(self.compared, board=left if left and left.entries else None)
            self.show(candidates=self.compared.without(name).candidates)

    def clone(self, name: str, new: str = "", *, factor: float = 1.0) -> str:
        """Lets a copy of a running contender go on from where it is, at all its rates times a factor.

        Args:
            name: Of the contender.
            new: Of the copy; without one it gets the name with the factor.
            factor: For every learning rate.

        Returns:
            The name of the copy.

        Raises:
            InvalidStrategy: No such contender, the name is taken, or the factor is no positive number.
            WrongPhase: The contender is not running.
        """
        with self._context.lock:
            copied = find(self.compared, name)
            if not 0 < factor < float("inf"):
                raise InvalidStrategy(
                    "A contender cannot be cloned so.",
                    expected="a positive factor for its rates",
                    found=f"{factor!r}",
                    remedy="Give another factor.",
                )
            if self.comparison is None or not self.compared.is_busy:
                none = Obstacle("no comparison is running", "Start one: bench.compare().")
                raise not_now(none, "No contender can be cloned now.", "a comparison that runs")
            plan = resolve(copied.strategy, self._context.tree)
            rates = {name: lr * factor for name, lr in plan.component_rates.items()}
            new = new.strip()[:60] or free_name(self.compared, f"{name} lr×{factor:g}")
            check_new(self.compared, new)
            self.comparison.clone(name, new, lr=rates)
            old = copied.strategy
            copy = Strategy(old.rules, {**old.lr, **rates}, old.weight_decay, new)
            made = Candidate(new, copy, what_trains(copy))
            self.show(candidates=(*self.compared.candidates, made))
        return new

    def set_length(self, steps: int | None = None, seeds: int | None = None) -> None:
        """Says how long and how often each runs.

        Args:
            steps: Optimizer steps of each run, 1 to 100,000; None: as before.
            seeds: Runs of each contender, 1 to 100; None: as before.

        Raises:
            InvalidStrategy: A number that cannot be meant.
            WrongPhase: It is running.
        """
        with self._context.lock:
            if self.compared.is_busy:
                raise not_now(busy("comparing"), "The contenders cannot be changed now.", "no comparison that runs")
            for what, given, most in (("steps", steps, 100_000), ("seeds", seeds, 100)):
                if given is not None and not (is_whole(given, 1) and given <= most):
                    raise InvalidStrategy(
                        f"A comparison cannot run with these {what}.",
                        expected=f"a whole number from 1 to {most:,}",
                        found=found_for(given),
                        remedy=f"Write, for example, {what}=3.",
                    )
            self.show(steps=steps or self.compared.steps, seeds=seeds or self.compared.seeds)

    def load(self, name: str) -> int:
        """Makes a contender's strategy the present one, as one undoable edit.

        Returns:
            The new revision.

        Raises:
            InvalidStrategy: There is no such contender.
        """
        return self._editor.set_strategy(find(self.compared, name).strategy)

    # What follows is asked under the lock.

    def show(self, **changes: Any) -> None:  # fields of Compared
        """Changes what is shown of the comparison."""
        self.compared = replace(self.compared, **changes)
        self._context.tell("compare")
