"""Support: a page in a bare Chromium on a real Workbench, whose comm is played: requests go to the real command channel, traits and
messages are carried to the page as they change. No tests here.
"""

from __future__ import annotations

import base64
import time
from collections import deque
from typing import Any

from playwright.sync_api import Page

import vlmfreeze_widgets as vf
from tests.browser.mount import mount

TRAITS = (
    "tree_state", "plan_state", "handover_state", "options", "load_state", "probe_state", "data_state", "proof_state",
    "saved_state", "advice_state", "cost_state", "compare_state", "stages_state", "runs_state", "run_state",
)  # fmt: skip


def encoded(value: Any) -> Any:  # as a trait holds it
    """Buffers as the harness reads them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {k: encoded(v) for k, v in value.items()}
    return [encoded(v) for v in value] if isinstance(value, list | tuple) else value


class Played:
    """A page on a real Workbench.

    Args:
        page: Of the browser; what happens on it by mistake is the caller's to watch.
        bench: Closed by the caller.
        width: Of the widget in CSS pixels.
        theme: "light" or "dark".
    """

    def __init__(self, page: Page, bench: vf.Workbench, width: int = 1150, theme: str = "light") -> None:
        self.page, self.bench = page, bench
        bench.session.costs._own_process = False
        self.told: deque[tuple[dict[str, Any], list[bytes]]] = deque()
        bench._feed._send = lambda message, buffers: self.told.append((message, buffers))
        page.expose_function("kernel", bench.commands.answer)
        self.shown: dict[str, Any] = {name: getattr(bench, name) for name in TRAITS}
        state = {name: encoded(value) for name, value in self.shown.items()}
        state["options"] = {**state["options"], "theme": theme}
        mount(page, "workbench", state, width=width)
        page.evaluate(
            "() => { const ask = (request) => kernel(request).then((reply) => channel.message(reply));"
            "channel.silent = true; const sent = channel.send.bind(channel);"
            "channel.send = (request) => { sent(request); void ask(request); }; channel.sent.forEach(ask); }"
        )

    def carry(self) -> None:
        """Brings what changed to the page."""
        while self.told:
            message, buffers = self.told.popleft()
            self.page.evaluate("([m, b]) => model.message(m, b)", [message, encoded(buffers[0])["base64"]])
        for name in TRAITS:
            state = getattr(self.bench, name)
            if state is not self.shown[name]:
                self.shown[name] = state
                self.page.evaluate("([name, state]) => model.set(name, state)", [name, encoded(state)])

    def until(self, script: str, seconds: float = 60) -> None:
        """Carries over until something is so on the page."""
        end = time.monotonic() + seconds
        self.carry()
        while not self.page.evaluate(script):
            assert time.monotonic() < end, script
            self.page.wait_for_timeout(10)
            self.carry()

    def phase(self, name: str, seconds: float = 60) -> None:
        """Carries over until the page is told of a phase."""
        self.until(f"model.get('run_state').phase === {name!r}", seconds)
