"""The command channel: each request of the page gets exactly one reply. A view-less model of its own, on which Python only answers
inside the handler: then JupyterLab keeps it on a subshell and Stop arrives while a cell runs. What each request does is in
``widgets.handlers``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

from ..core.plain import plain
from ..core.wire.messages import Request, error_reply, ok_reply, read_request, stale
from .assets import asset
from .lifetime import unregister
from .state_trait import to_json
from .weakly import weakly

Handler = Callable[[Request], Mapping[str, Any] | None]


class CommandChannel(anywidget.AnyWidget):
    """The command model of one widget.

    Args:
        handle: Does what a request asks and returns the result for the reply.
        rev: Gives the present revision.
        greeted: Called when a page says hello: there is a viewer.
    """

    _trait_to_json = staticmethod(to_json)
    _esm = traitlets.Unicode().tag(sync=True)
    _view_name = traitlets.Unicode(None, allow_none=True).tag(sync=True)  # type: ignore[assignment]

    def __init__(self, handle: Handler, rev: Callable[[], int], greeted: Callable[[], None] | None = None) -> None:
        self._handle = handle
        self._rev = rev
        self._greeted = greeted
        super().__init__(_esm=asset("commands.js").read_text(encoding="utf-8"))
        self.on_msg(weakly(self._receive))
        unregister(self)

    def close(self) -> None:
        """Takes the channel off every page, with the layout that every widget has and that does not go by itself."""
        self.layout.close()
        super().close()

    def _receive(self, _: object, content: Any, __: object = None) -> None:  # from the page
        self.send(self.answer(content))

    def answer(self, content: Any) -> dict[str, Any]:  # from the page, not trusted
        """The one reply to a message, in plain JSON types."""
        reply: dict[str, Any] = plain(self._answer(content))
        return reply

    def _answer(self, content: Any) -> dict[str, Any]:
        request_id = str(content.get("id", ""))[:64] if isinstance(content, Mapping) else ""
        try:
            request = read_request(content)
            if request.is_edit and request.rev != self._rev():
                raise stale(request.rev, self._rev())
            result = {"subshell": _subshell()} if request.name == "hello" else self._handle(request)
            if request.name == "hello" and self._greeted is not None:
                self._greeted()
            return ok_reply(request.id, self._rev(), result)
        except Exception as error:  # every request gets a reply, whatever happens
            return error_reply(request_id, self._rev(), error)


def _subshell() -> str | None:
    """The name of the subshell that delivered this message; None on the main thread, where Stop waits for the cell."""
    thread = threading.current_thread()
    return None if thread is threading.main_thread() else thread.name
