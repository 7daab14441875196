"""What Workbench and FreezeMap share: a session shown on a page through an outbox, requests through a command channel."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from ..core.wire.messages import VERSION, Request
from ..core.wire.tree_state import tree_state
from ..session import Change, Session
from . import page_states
from .assets import asset
from .channel import CommandChannel
from .handlers.core import handle
from .handlers.handover import state_of
from .lifetime import Lifetime
from .outbox import Outbox
from .state_trait import ShownStates, State, to_json
from .translations import Translations
from .weakly import weakly

log = logging.getLogger("vlmfreeze_widgets")


class SessionPage(anywidget.AnyWidget):
    """A widget that shows a session.

    Args:
        session: What to show.
        bundle: Name of the built files, without ending.
        options: As ``page_options`` makes them.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    commands = anywidget.WidgetTrait().tag(sync=True)
    _trait_to_json = staticmethod(to_json)
    tree_state = State(lambda s: tree_state(s.tree), lambda s: s.tree)
    plan_state = State(page_states.plan_state, lambda s: (s.rev, s.costs.settings))
    handover_state = State(state_of)
    noted = State()
    options = State()

    def __init__(self, session: Session, bundle: str, options: Mapping[str, Any]) -> None:
        self.session = session
        self._states = ShownStates(type(self), session)
        self._picture = secrets.token_hex(8)
        self._words = Translations(self, options)
        super().__init__(
            _esm=asset(f"{bundle}.js").read_text(encoding="utf-8"),
            _css=asset(f"{bundle}.css").read_text(encoding="utf-8"),
            commands=CommandChannel(weakly(self._handle), lambda: session.rev, weakly(self._greeted)),
            **self._words.of({"options": {**options, "picture": self._picture}, **dict(self._states.first())}),
        )
        self._outbox = Outbox(
            weakly(self._flush_together), lambda error: log.error("The page could not be updated", exc_info=error)
        )
        self._unsubscribe = session.subscribe(weakly(self._changed))
        self._lifetime = Lifetime(self, weakly(self._call_the_roll))

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
        """Takes the widget off every page and releases the session's model."""
        if getattr(self, "_lifetime", None) is not None:
            self._lifetime.end()
            self._unsubscribe()
            self._outbox.close()
            if self.commands is not None:
                self.commands.close()
            self.layout.close()
        super().close()

    def _should_send_property(self, key: str, value: object) -> bool:
        return not self._words.is_quiet(key) and bool(super()._should_send_property(key, value))

    def _greeted(self) -> None:
        """A page is there."""
        self._lifetime.greeted()

    def _call_the_roll(self) -> None:
        self.send({"v": VERSION, "kind": "views"})

    def _changed(self, _: Change) -> None:
        self._outbox.touch()

    def _handle(self, request: Request) -> Mapping[str, Any] | None:
        if request.name == "views":
            self._lifetime.views(request.args["page"], request.args["count"])
            return None
        if request.name == "snapshot":
            self._snapshot(request.args["burst"], request.args["from"])
            self._outbox.touch()
            return None
        if request.name == "language":
            self._words.request(request.args["language"])
            self._outbox.touch()
            return None
        found = handle(self.session, request)
        return None if found is None else self._words.translated(found)

    def _snapshot(self, burst: int, first: int) -> None:
        """A page has only the rows below ``first`` of a burst."""

    def _flush_together(self) -> None:
        with self.hold_sync():  # all traits that change are one message
            self._flush()

    def _flush(self) -> None:
        """Publishes what changed; on the outbox's thread, under its lock."""
        self._words.turn()
        for name, state in self._states.changed():
            self._words.show(name, state)

    def _ipython_display_(self, **_: Any) -> None:  # IPython's own
        """Shows the live view and, as an output of its own, the static picture, which the view hides as long as it lives.

        One output with both would not do: a saved notebook takes the live view where the notebook holds widget
        state (nbconvert) or wherever widgets are known (JupyterLab), and shows nothing when it cannot be brought to life.
        """
        self._lifetime.displayed()
        view = super()._repr_mimebundle_()
        title = f"{type(self).__name__}: {self.tree.title}"
        if view is not None:
            display({**view[0], "text/plain": title}, metadata=view[1], raw=True)
        from ..pictures import tree_html

        picture = tree_html(self.tree, self.plan, as_image=True)
        html = f'<div class="vf-static-{self._picture}">{picture}</div>'
        display({"text/plain": str(self.tree), "text/html": html}, raw=True)

    def _display_(self) -> Any:  # marimo's own protocol
        """What marimo shows."""
        from ..adapters import marimo_host

        return marimo_host.element(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # (data, metadata) or None
        self._lifetime.displayed()
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        from ..pictures import tree_html

        html = tree_html(self.tree, self.plan)
        return {**data, "text/plain": str(self.tree), "text/html": html}, metadata
