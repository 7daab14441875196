"""What Workbench and FreezeMap share: a session shown on a page through an outbox, wishes through a command channel."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from ..core.page_state import plan_state, tree_state
from ..core.plan import Plan
from ..core.ports import port
from ..core.protocol import Wish
from ..core.strategy import Strategy
from ..core.tree import ModuleTree
from ..session import Change, Session
from .assets import asset
from .channel import CommandChannel
from .grants import grant
from .outbox import Outbox

log = logging.getLogger("vlmfreeze_widgets")


class SessionPage(anywidget.AnyWidget):
    """A widget that shows a session.

    Args:
        session: What to show.
        bundle: Name of the built files, without ending.
        options: ``height`` in CSS pixels and ``theme``.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    commands = anywidget.WidgetTrait().tag(sync=True)
    tree_state = traitlets.Dict().tag(sync=True)
    plan_state = traitlets.Dict().tag(sync=True)
    options = traitlets.Dict().tag(sync=True)

    def __init__(self, session: Session, bundle: str, options: Mapping[str, Any], **state: Any) -> None:  # noqa: ANN401
        self.session = session
        self._shown_rev = session.rev
        self._shown_tree = session.tree
        super().__init__(
            _esm=asset(f"{bundle}.js").read_text(encoding="utf-8"),
            _css=asset(f"{bundle}.css").read_text(encoding="utf-8"),
            commands=CommandChannel(self._grant, lambda: session.rev, self._greeted),
            tree_state=tree_state(session.tree),
            plan_state=self._plan_state(),
            options=dict(options),
            **state,
        )
        self._outbox = Outbox(self._flush, lambda error: log.error("The page could not be updated", exc_info=error))
        self._unsubscribe = session.subscribe(self._changed)

    @property
    def tree(self) -> ModuleTree:
        """The tree that is shown."""
        return self.session.tree

    @property
    def strategy(self) -> Strategy:
        """What is wanted now; the page follows when it is set."""
        return self.session.strategy

    @strategy.setter
    def strategy(self, strategy: Strategy | Mapping[str, object]) -> None:
        self.session.set_strategy(strategy if isinstance(strategy, Strategy) else Strategy(strategy))

    @property
    def plan(self) -> Plan:
        """The plan whose numbers are shown."""
        return self.session.plan

    def close(self) -> None:
        """Takes the widget off every page and lets go of the session's model. Widgets stay alive until closed."""
        if getattr(self, "_unsubscribe", None) is not None:
            self._unsubscribe()
            self._outbox.close()
            if self.commands is not None:
                self.commands.close()
        super().close()

    def _greeted(self) -> None:
        """A page is there."""

    def _changed(self, _: Change) -> None:
        self._outbox.touch()

    def _grant(self, wish: Wish) -> Mapping[str, Any] | None:
        if wish.name == "snapshot":
            self._snapshot(wish.args["burst"], wish.args["from"])
            self._outbox.touch()
            return None
        return grant(self.session, wish)

    def _snapshot(self, burst: int, first: int) -> None:
        """A page has only the rows below ``first`` of a burst."""

    def _plan_state(self) -> dict[str, Any]:
        s = self.session
        return plan_state(s.plan, s.rev, can_undo=s.can_undo, can_redo=s.can_redo)

    def _flush(self) -> None:
        """Publishes what changed; on the outbox's thread, under its lock."""
        if self.session.tree is not self._shown_tree:
            self._shown_tree = self.session.tree
            self.tree_state = tree_state(self.session.tree)
        if self.session.rev != self._shown_rev:
            self._shown_rev = self.session.rev
            self.plan_state = self._plan_state()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # noqa: ANN401 - (data, metadata) or None
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        # Where there is no kernel (a saved notebook, a repository's page) the picture is what remains.
        return {
            **data,
            "text/plain": str(self.tree),
            "text/html": port("pictures").tree_html(self.tree, self.plan),
        }, metadata
