"""A strategy with its past: edits, undo, redo and a revision that a page can hold on to. Threads are the session's affair."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import WrongPhase
from ..tree.tree import ModuleTree
from .plan import Plan
from .resolve import resolve
from .strategy import Strategy

_DEPTH = 200  # edits that can be taken back


class EditHistory:
    """The strategy of one tree as it changes.

    Args:
        tree: What every strategy must fit.
        start: Where to begin.

    Attributes:
        strategy: As it is now.
        plan: Its plan.
        rev: Grows by one with every change, whichever way.

    Raises:
        VlmFreezeError: The first strategy does not fit the tree.
    """

    def __init__(self, tree: ModuleTree, start: Strategy) -> None:
        self.tree = tree
        self.start = start
        self.strategy = start
        self.plan: Plan = resolve(start, tree)
        self.rev = 1
        self._undo: list[Strategy] = []
        self._redo: list[Strategy] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit to make again."""
        return bool(self._redo)

    def edit(self, change: Callable[[Strategy, ModuleTree], Strategy]) -> bool:
        """Makes one edit.

        Returns:
            Whether anything changed.

        Raises:
            VlmFreezeError: The new strategy does not fit; nothing is changed.
        """
        wanted = change(self.strategy, self.tree)
        plan = resolve(wanted, self.tree)
        if wanted == self.strategy:
            return False
        self._undo = [*self._undo[-_DEPTH + 1 :], self.strategy]
        self._redo = []
        self._put(wanted, plan)
        return True

    def move_to(self, tree: ModuleTree) -> None:
        """Goes on with another tree of the same model, such as the one with weights; the past stays.

        Raises:
            VlmFreezeError: The strategy does not fit it; nothing is changed.
        """
        plan = resolve(self.strategy, tree)
        self.tree = tree
        self._put(self.strategy, plan)

    def undo(self) -> None:
        """Takes the last edit back.

        Raises:
            WrongPhase: There is none.
        """
        self._travel(self._undo, self._redo, "undo")

    def redo(self) -> None:
        """Makes the last undone edit again.

        Raises:
            WrongPhase: There is none.
        """
        self._travel(self._redo, self._undo, "redo")

    def _travel(self, source: list[Strategy], other: list[Strategy], what: str) -> None:
        if not source:
            raise WrongPhase(
                f"There is nothing to {what}.",
                expected=f"an edit to {what}",
                found="none",
                remedy="Make a change first.",
            )
        wanted = source.pop()
        other.append(self.strategy)
        self._put(wanted, resolve(wanted, self.tree))

    def _put(self, strategy: Strategy, plan: Plan) -> None:
        self.strategy, self.plan = strategy, plan
        self.rev += 1
