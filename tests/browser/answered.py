"""Support: a page in a bare Chromium whose requests a real Workbench answers, without Jupyter between them. No tests here."""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import Page

from tests.browser.mount import mount
from vlmfreeze_widgets.widgets import page_states

ANSWER = """() => {
  channel.send = (request) => {
    channel.sent.push(structuredClone(request));
    kernel(structuredClone(request)).then(({reply, traits}) => {
      channel.message(reply);
      for (const [name, value] of Object.entries(traits)) model.set(name, value);
    });
  };
}"""
TRAITS = ("tree_state", "plan_state", "run_state", "handover_state", "options")


def plain(value: Any) -> Any:  # a trait
    """A trait with its buffers as the golden files write them."""
    if isinstance(value, bytes | bytearray | memoryview):
        return {"base64": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def show(page: Page, bench: Any, bundle: str = "workbench", *, theme: str = "light", width: int = 1150) -> None:
    """Mounts a widget's page; every request goes to the widget, and the plan comes back."""

    def kernel(request: dict[str, Any]) -> dict[str, Any]:
        reply = bench.commands.answer(request)
        return {
            "reply": reply,
            "traits": {"plan_state": plain(page_states.plan_state(bench.session))} if reply["ok"] else {},
        }

    page.expose_function("kernel", kernel)
    traits = {name: plain(getattr(bench, name)) for name in TRAITS if hasattr(bench, name)}
    mount(page, bundle, {**traits, "options": {"height": 430, "theme": theme}}, width=width)
    page.evaluate(ANSWER)
