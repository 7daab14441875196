"""The strategy of a session: edits, undo, redo, and those who are told of changes. Values only; no model is touched here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from ..core.strategy import edits
from ..core.strategy.edit_history import EditHistory
from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from .handover import Handover
from .shown import Change


class Desk:
    """Where a strategy is worked on. Edits happen at once, on whatever thread asks, under one lock.

    Args:
        tree: Of the model.
        strategy: Where to start.
    """

    def __init__(self, tree: ModuleTree, strategy: Strategy) -> None:
        self.tree = tree
        self._lock = threading.RLock()
        self._edits = EditHistory(tree, strategy)
        self.handover = Handover(self)
        self._listeners: list[Callable[[Change], None]] = []

    @property
    def strategy(self) -> Strategy:
        """What is wanted now. Setting it is one undoable edit."""
        return self._edits.strategy

    @strategy.setter
    def strategy(self, strategy: Strategy) -> None:
        self.set_strategy(strategy)

    @property
    def plan(self) -> Plan:
        """The plan of the strategy."""
        return self._edits.plan

    @property
    def rev(self) -> int:
        """Grows with every change of the strategy."""
        return self._edits.rev

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to take back."""
        return self._edits.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an edit to make again."""
        return self._edits.can_redo

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls ``listener`` with the name of what changed (a ``Change``) after each change, on the thread that made it.

        Returns:
            A function that ends the subscription.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def _tell(self, change: Change) -> None:
        for listener in list(self._listeners):
            listener(change)

    def edit(self, change: Callable[[Strategy, ModuleTree], Strategy]) -> int:
        """Makes one undoable edit: ``change`` gives the new strategy from the old one and the tree.

        Returns:
            The new revision.

        Raises:
            VlmFreezeError: The new strategy does not fit the tree; nothing is changed.
        """
        return self._edited(lambda: self._edits.edit(change))

    def set_strategy(self, strategy: Strategy) -> int:
        """Replaces the strategy; see ``edit``."""
        wanted = strategy if isinstance(strategy, Strategy) else Strategy(strategy)
        return self.edit(lambda _, __: wanted)

    def set_tuning(self, targets: Iterable[str], tuning: str) -> int:
        """Sets components or paths to "frozen", "lora", "full" or "inherit"; see ``core.strategy.edits``."""
        wanted = [targets] if isinstance(targets, str) else list(targets)
        return self.edit(lambda s, t: edits.set_tuning(s, t, wanted, tuning))

    def undo(self) -> int:
        """Takes the last edit back."""
        return self._edited(self._edits.undo)

    def redo(self) -> int:
        """Makes the last undone edit again."""
        return self._edited(self._edits.redo)

    def reset(self) -> int:
        """Goes back to the strategy that the session started with, as an undoable edit."""
        return self.set_strategy(self._edits.start)

    def _edited(self, change: Callable[[], object]) -> int:
        with self._lock:
            before = self.rev
            change()
            if self.rev != before:
                self._tell("plan")
                self._tell("run")  # why_not may have changed with the plan
            return self.rev
