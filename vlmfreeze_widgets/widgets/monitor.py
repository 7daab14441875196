"""The live plots alone: a history that is appended to, from whatever thread."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import anywidget
import traitlets

from ..core.arguments import Kind, checked, maybe, whole
from ..core.errors import BadRequest
from ..core.evidence.verdict import Verdict
from ..core.history.history import History, StepRecord
from ..core.language.phrase import say
from ..core.wire.messages import VERSION, Request
from ..core.wire.run_state import Phase, RunStatus
from .assets import asset
from .channel import CommandChannel
from .lifetime import Lifetime
from .outbox import Outbox
from .page_options import page_options
from .row_feed import RowFeed
from .state_trait import State, to_json
from .translations import Translations
from .weakly import weakly

_PHASES: dict[str, Phase] = {  # of a run in another process -> what the page calls it
    "waiting": "preparing",
    "preparing": "preparing",
    "running": "running",
    "saving": "running",
    "finished": "idle",
    "stopped": "idle",
    "failed": "failed",
}
log = logging.getLogger("vlmfreeze_widgets")


class HasHistory(Protocol):
    """A burst, a result, or a run."""

    @property
    def history(self) -> History:
        """Its steps."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The last judgement."""


_HISTORY = Kind(
    "a history, or what has one: a burst, a result, a run, a Workbench",
    lambda value: isinstance(getattr(value, "history", value), History),
    "Of a folder: vf.BurstMonitor(vf.load_run(folder)), or vf.follow(folder) while it runs.",
)


class BurstMonitor(anywidget.AnyWidget):
    """Loss and gradient norms of a history, live while it grows.

    Args:
        history: Of a burst (``burst.history``, ``result.history``), one that your own loop appends to, or that of a run in
            another process (``vf.follow(folder)``). That of a ``Workbench`` may still be empty: its next burst is shown then.
            Or whatever has one: a burst, a result, a run (``vf.load_run(folder)``), whose verdicts are shown too; a Workbench.
        steps: How many are expected; by default those of the history's settings.
        height: Of the plots, in CSS pixels.
        theme: "auto" follows the host; or "light", "dark".
        language: "en" or "zh"; "auto" follows the host. By default what VLMFREEZE_LANGUAGE names, else "auto".

    Examples:
        >>> burst = vf.Burst(model, strategy, batches)
        >>> vf.BurstMonitor(burst.history)
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    commands = anywidget.WidgetTrait().tag(sync=True)
    _trait_to_json = staticmethod(to_json)
    run_state = State()
    options = State()

    @checked(history=_HISTORY, steps=maybe(whole(1, 50)))
    def __init__(
        self,
        history: History | HasHistory,
        *,
        steps: int | None = None,
        height: int = 170,
        theme: str = "auto",
        language: str | None = None,
    ) -> None:
        self._judged = None if isinstance(history, History) else history
        self.history = history = history if isinstance(history, History) else history.history
        self._steps = steps
        self._feed = RowFeed(weakly(self.send))
        options = page_options(height, theme, language, tour=False)
        self._words = Translations(self, options)
        super().__init__(
            _esm=asset("monitor.js").read_text(encoding="utf-8"),
            _css=asset("monitor.css").read_text(encoding="utf-8"),
            commands=CommandChannel(weakly(self._handle), lambda: 1, weakly(self._greeted)),
            **self._words.of({"options": options, "run_state": self._status().to_dict()}),
        )
        self._outbox = Outbox(
            weakly(self._flush_together), lambda error: log.error("The page could not be updated", exc_info=error)
        )
        self._lifetime = Lifetime(self, weakly(self._call_the_roll))
        self._unsubscribe = self.history.subscribe(self._outbox.touch)
        self._outbox.touch()

    def close(self) -> None:
        """Takes the plots off every page."""
        if getattr(self, "_lifetime", None) is not None:
            self._lifetime.end()
            self._unsubscribe()
            self._outbox.close()
            self.commands.close()
            self.layout.close()
        super().close()

    def _should_send_property(self, key: str, value: object) -> bool:
        return not self._words.is_quiet(key) and bool(super()._should_send_property(key, value))

    def _greeted(self) -> None:
        self._lifetime.greeted()

    def _call_the_roll(self) -> None:
        self.send({"v": VERSION, "kind": "views"})

    def _display_(self) -> Any:  # marimo's own protocol
        """What marimo shows."""
        from ..adapters import marimo_host

        return marimo_host.element(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:  # (data, metadata) or None
        self._lifetime.displayed()
        return super()._repr_mimebundle_(**kwargs)

    def _status(self) -> RunStatus:
        history = self.history
        last: StepRecord | None = history[-1] if len(history) else None
        components = history.layout.component_names
        # A followed run tells its settings, and so its steps, only when it has begun.
        steps = self._steps or int(history.settings.get("steps", 0)) or len(history)
        done = last is not None and last.step >= steps
        run = history.run
        verdicts = getattr(self._judged, "verdicts", ())
        return RunStatus(
            phase=("idle" if done or last is None else "running") if run is None else _PHASES[run.phase],
            burst=1,
            steps=steps if run is None else self._steps or run.steps or steps,
            step=last.step if last else 0,
            rows=len(history),
            seconds_per_step=last.seconds if last else None,
            rates=last.lr if last else {},
            lr_columns=components,
            norm_columns=components,
            memory_bytes=last.memory_bytes if last else None,
            skipped=history.skipped,
            verdicts=verdicts,
            verdict_after=last.step if last is not None and verdicts else None,
            message=None if run is None else say("Saving the result") if run.phase == "saving" else run.message,
            error=None if run is None else run.error,
            why_not=say("This page only watches."),
        )

    def _follow(self) -> None:
        """Of a page the history before its first burst is empty, and another takes its place when one runs."""
        while (after := self.history.successor) is not None:
            self._unsubscribe()
            self.history = after
            self._unsubscribe = after.subscribe(self._outbox.touch)

    def _flush_together(self) -> None:
        with self.hold_sync():  # all traits that change are one message
            self._flush()

    def _flush(self) -> None:
        self._follow()
        status = self._status()
        self._words.turn()
        state = status.to_dict()
        quietly = self._feed.feed(
            status.burst, self.history, status.lr_columns, status.norm_columns, self._words.translated(state)
        )
        self._words.show("run_state", state, quietly=quietly)

    def _handle(self, request: Request) -> Mapping[str, Any] | None:
        if request.name == "views":
            self._lifetime.views(request.args["page"], request.args["count"])
            return None
        if request.name == "snapshot":
            with self._outbox.lock:
                self._feed.rewind(request.args["burst"], request.args["from"])
            self._outbox.touch()
            return None
        if request.name == "language":
            self._words.request(request.args["language"])
            self._outbox.touch()
            return None
        if request.name == "series":
            raise BadRequest("This page has no map.", expected="snapshot", found="series", remedy="Use the Workbench.")
        raise BadRequest(
            "This page only watches.", expected="hello or snapshot", found=request.name, remedy="Use the Workbench."
        )
