"""The strategy of a session: edits, undo and redo. Values only; no model is touched here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..core.strategy import edits
from ..core.strategy.edit_history import EditHistory
from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from .context import SessionContext


class StrategyEditor:
    """Edits a strategy at once, on whatever thread asks, under the session's lock.

    Args:
        context: Of the session.
        strategy: Where to start.
    """

    def __init__(self, context: SessionContext, strategy: Strategy) -> None:
        self._context = context
        self._edits = EditHistory(context.tree, strategy)

    @property
    def strategy(self) -> Strategy:
        """The present strategy."""
        return self._edits.strategy

    @property
    def plan(self) -> Plan:
        """The plan of the strategy."""
        return self._edits.plan

    @property
    def rev(self) -> int:
        """The revision: grows with every change of the strategy."""
        return self._edits.rev

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo."""
        return self._edits.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit to redo."""
        return self._edits.can_redo

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
        """Makes one undoable edit of how components or paths are tuned; see ``core.strategy.edits``.

        Args:
            targets: Names of components, paths of modules, or one of these.
            tuning: "frozen", "lora", "full" or "inherit".

        Returns:
            The new revision.

        Raises:
            VlmFreezeError: The model does not have it, or cannot be tuned so; nothing is changed.
        """
        wanted = [targets] if isinstance(targets, str) else list(targets)
        return self.edit(lambda s, t: edits.set_tuning(s, t, wanted, tuning))

    def undo(self) -> int:
        """Undoes the last edit."""
        return self._edited(self._edits.undo)

    def redo(self) -> int:
        """Makes the last undone edit again."""
        return self._edited(self._edits.redo)

    def reset(self) -> int:
        """Goes back to the strategy that the session started with, as an undoable edit."""
        return self.set_strategy(self._edits.start)

    def move_to(self, tree: ModuleTree) -> None:
        """Resolves the strategy on another tree of the same model, such as the one that was read after loading.

        Raises:
            VlmFreezeError: The strategy does not fit it; nothing is changed.
        """
        self._edits.move_to(tree)

    def _edited(self, change: Callable[[], object]) -> int:
        with self._context.lock:
            before = self.rev
            change()
            if self.rev != before:
                self._context.tell("plan")
                self._context.tell("run")  # why_not may have changed with the plan
            return self.rev
