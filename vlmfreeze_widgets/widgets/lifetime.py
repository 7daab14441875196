"""How long a widget lives: as long as a name refers to it or a page shows it. ipywidgets alone would keep every widget for ever.

Pages are counted by roll call: whenever a page says that it has taken its last view away, all pages are asked, and when none
answers the last view is gone. So a page that was reloaded or whose browser was closed, which says nothing, ends nothing: the
widget is there when it comes back. What happens to a widget that is released is the widget's own affair (``__del__``).
"""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, MutableMapping
from typing import Any

from IPython import get_ipython
from ipywidgets.widgets import widget as registry

from .weakly import weakly

ROLL_CALL_SECONDS = 1.0  # a page answers within milliseconds; a view that is moved is away for less than this
UNSEEN_SECONDS = 60.0  # how long a page may take from display to its first word before nobody is taken to look
_HISTORY = re.compile(r"_+|_\d+")

_seen: dict[str, Any] = {}  # widgets that a page shows, or is about to
_kept: dict[str, Any] = {}  # widgets that go on by their user's request


class Lifetime:
    """Of one widget, which was opened already. From here on only names, pages and ``keep`` hold it.

    Args:
        widget: An ipywidgets ``Widget``.
        call_the_roll: Asks all pages of the widget how many views they have.
    """

    def __init__(self, widget: Any, call_the_roll: Callable[[], None]) -> None:
        self._widget = weakref.ref(widget)
        self._key = f"_vlmfreeze_shown_{id(widget)}"
        # marimo ends a session without a word, but clears its names: what a page shows there lives among them.
        from ..adapters import marimo_host

        self._place: MutableMapping[str, Any] = names if (names := marimo_host.names()) is not None else _seen
        self._call = call_the_roll
        self._lock = threading.Lock()
        self._pages: set[str] = set()
        self._is_calling = False
        self._timers: list[threading.Timer] = []
        self.was_seen = self._is_held = False
        unregister(widget)
        if widget.comm is not None:
            _on_host_close(widget.comm, weakly(self.release))

    def keep(self) -> None:
        """Holds the widget until ``end``, with or without viewers and references."""
        if (widget := self._widget()) is not None:
            _kept[self._key] = widget

    def displayed(self) -> None:
        """The widget was handed to a host: a page may be about to show it."""
        self._hold()
        if not self.was_seen and not self._timers:
            self._timers.append(_later(UNSEEN_SECONDS, weakly(self._unclaimed)))

    def greeted(self) -> None:
        """A page is there."""
        self.was_seen = True
        self._hold()

    def views(self, page: str, count: int) -> None:
        """A page says how many views it has of the widget now."""
        with self._lock:
            if count > 0:
                self._pages.add(page)
            else:
                self._pages.discard(page)
            calls = count <= 0 and not self._is_calling
            if calls:
                self._pages.clear()
                self._is_calling = True
        if count > 0:
            self.greeted()
        if calls:
            self._timers = [
                *(t for t in self._timers if t.is_alive()),
                _later(ROLL_CALL_SECONDS, weakly(self._counted)),
            ]
            self._call()

    @property
    def is_cut_off(self) -> bool:
        """Whether the host ended its session without a word: marimo clears its names and holds the widget elsewhere."""
        return self._is_held and self._key not in self._place and self._key not in _kept

    def end(self) -> None:
        """The widget was closed."""
        self._is_held = False
        for timer in self._timers:
            timer.cancel()
        self._place.pop(self._key, None)
        _kept.pop(self._key, None)

    def release(self) -> None:
        """The last view is gone: from now on only names hold the widget. IPython's numbered results are none."""
        widget = self._widget()
        self._is_held = False
        self._place.pop(self._key, None)
        if widget is not None and self._key not in _kept:
            forget_result(widget)

    def _hold(self) -> None:
        widget = self._widget()
        if widget is not None and widget.comm is not None:
            self._place[self._key] = widget
            self._is_held = True

    def _unclaimed(self) -> None:
        if not self.was_seen:
            self.release()

    def _counted(self) -> None:
        with self._lock:
            self._is_calling = False
            is_gone = not self._pages
        if is_gone:
            self.release()


def kept() -> list[Any]:
    """The widgets that go on by their user's request."""
    return list(_kept.values())


def unregister(widget: Any) -> None:
    """Lets ipywidgets and the comm know a widget without holding it. It takes itself off both when it is closed."""
    comm = widget.comm
    if comm is None:
        return
    registry._instances[widget.model_id] = weakref.proxy(widget)
    comm.on_msg(weakly(widget._handle_msg))


def forget_result(widget: Any) -> None:
    """Takes a widget out of IPython's memory of results: ``_``, ``__``, ``_7``, ``Out[7]``."""
    shell = get_ipython()
    names: dict[str, Any] = getattr(shell, "user_ns", None) or {}
    # IPython keeps what it put there itself once more, to leave it out of %who.
    for there in (names, getattr(shell, "user_ns_hidden", None) or {}):
        for name, value in list(there.items()):
            if value is widget and _HISTORY.fullmatch(name):
                there[name] = ""
    results = names.get("_oh")
    results = results if isinstance(results, dict) else {}
    for number, value in list(results.items()):
        if value is widget:
            results.pop(number, None)
    hook = getattr(shell, "displayhook", None)
    for name in ("_", "__", "___"):
        if getattr(hook, name, None) is widget:
            setattr(hook, name, "")
    last: Any = getattr(shell, "last_execution_result", None)
    if getattr(last, "result", None) is widget:
        last.result = None


def _on_host_close(comm: Any, closed: Callable[[], None]) -> None:
    """Calls back when the host closes a comm by itself: marimo does when the cell runs again, without a message."""
    held = weakref.ref(comm)

    def close(*args: Any, **named: Any) -> None:
        if (found := held()) is not None:
            type(found).close(found, *args, **named)
        closed()

    comm.close = close
    comm.on_close(lambda _: closed())


def _later(seconds: float, call: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.name = "vlmfreeze-views"
    timer.start()
    return timer
