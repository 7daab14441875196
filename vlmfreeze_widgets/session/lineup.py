"""Who takes part in a comparison of a session: added, removed, copied, taken up. Those who join while it runs are handed on to it.

Running it is ``session.comparing``; what is shown of it is ``core.wire.compare_state``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.comparison.ablation import corners
from ..core.comparison.board import Board
from ..core.errors import InvalidStrategy
from ..core.recipes.text import what_trains
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.wire.compare_state import MOST_CONTENDERS, Candidate, Compared
from ..engine.comparison.comparison import Comparison
from .obstacle import Obstacle, busy, not_now
from .staging import Staging

TUNINGS = ("frozen", "full", "lora")
_VARIED = ("vision_tower", "projector", "language_model")


class Lineup(Staging):
    """A session with a list of contenders.

    Attributes:
        compared: The contenders, and what is known of them.
        comparison: That runs, or ran last.
    """

    comparison: Comparison | None = None
    _corners: tuple[str, ...] = ()

    def __init__(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - those of Staging
        super().__init__(*args, **named)
        self.compared = Compared(steps=min(30, self.settings.steps))
        self._leaving: set[str] = set()  # who is to stop as soon as the comparison is made

    @property
    def watches(self) -> bool:
        """Whether there are held-out batches to judge by."""
        return self._watched.get("eval_batches") is not None

    @property
    def board(self) -> Board | None:
        """What is known of the contenders."""
        return self.compared.board

    def add_contender(self, name: str = "", strategy: Strategy | Mapping[str, Any] | None = None) -> str:
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
        wanted = self.strategy if strategy is None else strategy
        chosen = wanted if isinstance(wanted, Strategy) else Strategy(wanted)
        with self._lock:
            plan = resolve(chosen, self.tree)
            name = name.strip()[:60] or self._free_name(chosen.name)
            self._check_new(name)
            refusal = " ".join(w.message for w in plan.refusals)[:300]
            if self.compared.is_busy:
                plan.check()
                if self.comparison is not None:  # else it is being made, and takes the list as it is then
                    self.comparison.add(name, plan)
            elif self.compared.status == "over":
                self.compared = replace(self.compared, status="open", board=None, done=0.0, message="", pays="")
            made = Candidate(name, chosen, what_trains(chosen), refusal)
            self._show(candidates=(*self.compared.candidates, made))
        return name

    def add_contenders(self, strategies: Mapping[str, Strategy | Mapping[str, Any]]) -> None:
        """Lets several take part, all or none; who is on the list by that name gets the strategy. A cell can be run twice so.

        Raises:
            VlmFreezeError: As for ``add_contender``; nobody was added then.
            WrongPhase: A comparison is running.
        """
        wanted = {n.strip()[:60]: s if isinstance(s, Strategy) else Strategy(s) for n, s in strategies.items()}
        with self._lock:
            if self.compared.is_busy:
                raise not_now(busy("comparing"), "The contenders cannot be changed now.", "no comparison that runs")
            for strategy in wanted.values():
                resolve(strategy, self.tree)
            listed = {c.name: c.strategy for c in self.compared.candidates}
            if len(listed | wanted) > MOST_CONTENDERS:
                raise self._too_many()
            for name, strategy in wanted.items():
                if listed.get(name) == strategy:
                    continue
                if name in listed:
                    self.remove_contender(name)
                self.add_contender(name, strategy)

    def add_corners(self) -> int:
        """Adds every choice of frozen, full and LoRA per main component that is not there yet.

        Returns:
            How many were added.

        Raises:
            InvalidStrategy: There would be too many.
        """
        varied = tuple(c for c in _VARIED if c in self.tree.components)
        made = corners(varied, TUNINGS)
        new = {name: rules for name, rules in made.items() if self.compared.named(name) is None}
        if len(self.compared.candidates) + len(new) > MOST_CONTENDERS:
            raise self._too_many()
        for name, rules in new.items():
            self.add_contender(name, Strategy(rules, name=name))
        self._corners = varied
        return len(new)

    def remove_contender(self, name: str) -> None:
        """Takes a contender off the list; of a running comparison it is stopped instead, and stays on the board.

        Raises:
            InvalidStrategy: There is no such contender.
        """
        with self._lock:
            self._candidate(name)
            if self.compared.is_busy:
                if self.comparison is None:
                    self._leaving.add(name)
                else:
                    self.comparison.stop(name)
                return
            board = self.compared.board
            left = None if board is None else replace(board, entries=tuple(e for e in board.entries if e.name != name))
            self.compared = replace(self.compared, board=left if left and left.entries else None)
            self._show(candidates=self.compared.without(name).candidates)

    def clone_contender(self, name: str, new: str = "", *, factor: float = 1.0) -> str:
        """Lets a copy of a running contender go on from where it is, at all its rates times a factor.

        Returns:
            The name of the copy.

        Raises:
            InvalidStrategy: No such contender, the name is taken, or the factor is no positive number.
            WrongPhase: The contender is not running.
        """
        with self._lock:
            candidate = self._candidate(name)
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
            plan = resolve(candidate.strategy, self.tree)
            rates = {name: lr * factor for name, lr in plan.component_rates.items()}
            new = new.strip()[:60] or self._free_name(f"{name} lr×{factor:g}")
            self._check_new(new)
            self.comparison.clone(name, new, lr=rates)
            old = candidate.strategy
            copy = Strategy(old.rules, {**old.lr, **rates}, old.weight_decay, new)
            made = Candidate(new, copy, what_trains(copy))
            self._show(candidates=(*self.compared.candidates, made))
        return new

    def set_comparison(self, steps: int | None = None, seeds: int | None = None) -> None:
        """Says how long and how often each runs.

        Raises:
            InvalidStrategy: A number that cannot be meant.
            WrongPhase: It is running.
        """
        with self._lock:
            if self.compared.is_busy:
                raise not_now(busy("comparing"), "The contenders cannot be changed now.", "no comparison that runs")
            for what, given, most in (("steps", steps, 100_000), ("seeds", seeds, 100)):
                if given is not None and not (isinstance(given, int) and 1 <= given <= most):
                    raise InvalidStrategy(
                        f"A comparison cannot run with these {what}.",
                        expected=f"a whole number from 1 to {most:,}",
                        found=str(given),
                        remedy=f"Change {what}.",
                    )
            self._show(steps=steps or self.compared.steps, seeds=seeds or self.compared.seeds)

    def load_contender(self, name: str) -> int:
        """Makes a contender's strategy the present one, as one undoable edit.

        Returns:
            The new revision.

        Raises:
            InvalidStrategy: There is no such contender.
        """
        return self.set_strategy(self._candidate(name).strategy)

    # What follows is asked under the lock.

    def _show(self, **changes: Any) -> None:  # noqa: ANN401 - fields of Compared
        self.compared = replace(self.compared, **changes)
        self._tell("compare")

    def _candidate(self, name: str) -> Candidate:
        found = self.compared.named(name)
        if found is None:
            raise InvalidStrategy(
                f"There is no contender {name[:60]!r}.",
                expected=", ".join(c.name for c in self.compared.candidates) or "one that was added",
                found=repr(name)[:80],
                remedy="Use one of these names.",
            )
        return found

    def _free_name(self, wish: str) -> str:
        wish = wish.strip()[:50]
        taken = {c.name for c in self.compared.candidates}
        if wish and wish not in taken:
            return wish
        number = len(taken) + 1
        while (name := f"{wish or 'strategy'} {number}") in taken:
            number += 1
        return name

    def _check_new(self, name: str) -> None:
        if self.compared.named(name) is not None:
            raise InvalidStrategy(
                f"The name {name!r} is taken.", expected="one that no contender has", found=name, remedy="Give another."
            )
        if len(self.compared.candidates) >= MOST_CONTENDERS:
            raise self._too_many()

    def _too_many(self) -> InvalidStrategy:
        return InvalidStrategy(
            "There are too many contenders.",
            expected=f"at most {MOST_CONTENDERS}",
            found=str(len(self.compared.candidates)),
            remedy="Remove some first.",
        )
