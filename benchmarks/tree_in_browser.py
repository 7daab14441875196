"""How soon a tree stands on the screen and how soon it changes colour, in a real Chromium: our page beside a plotly treemap of
the same tree, taking turns in one browser. Called by ``tree.py``; which trees is decided there.
"""

from __future__ import annotations

import base64
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import plotly
from playwright.sync_api import Browser, Page, sync_playwright

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.strategy.edits import default_strategy, set_tuning
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.core.wire.plan_state import node_tunings, plan_state
from vlmfreeze_widgets.core.wire.tree_state import tree_state

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.browser.lab import FLAGS, chromium
from tests.browser.mount import mount

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
ROUNDS = 3
TURNS = 8  # changes of colour; the first warms up
# From a change to the moment after the frame that shows it: animation callbacks, then layout and paint, then a message.
TIMED = """
const shown = () => new Promise((r) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => r(performance.now());
  channel.port2.postMessage(0);
}));
window.timed = async (change) => {
  await shown(); await shown();
  const start = performance.now();
  const wait = change();
  const script = performance.now() - start;
  await wait;
  return {script, shown: (await shown()) - start};
};
"""
DRAW_PLOTLY = """async (data) => {
  const host = document.createElement("div");
  host.style.width = "760px"; host.style.height = "430px";
  document.body.replaceChildren(host);
  window.host = host;
  return timed(() => Plotly.newPlot(host, [{type: "treemap", branchvalues: "total", tiling: {pad: 1}, ...data.tree,
    marker: {colors: data.colours}}], {margin: {l: 0, r: 0, t: 0, b: 0}, width: 760, height: 430}));
}"""
COLOURS = ("#b8c2d3", "#2aa784", "#dd8a38", "#8f9bb3", "#e6eaf1")


def measure(trees: Mapping[str, ModuleTree], plotly_up_to: int) -> dict[str, Any]:
    """Times of every tree in milliseconds, by its name.

    Args:
        trees: What to draw.
        plotly_up_to: Nodes beyond which plotly is not asked (it needs minutes).
    """
    found: dict[str, Any] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        for name, tree in trees.items():
            plans = [_plan(tree, tuning) for tuning in ("lora", "full")]
            ours: dict[str, float] = {}
            theirs: dict[str, float] = {}
            # In turns, and the best of each: what a busy neighbour adds is in neither.
            for _ in range(ROUNDS if len(tree.nodes) <= 10_000 else 1):
                ours = _better(ours, _on_a_page(browser, _ours, tree, plans))
                if len(tree.nodes) <= plotly_up_to:
                    theirs = _better(theirs, _on_a_page(browser, _theirs, tree, plans))
            found[name] = {"nodes": len(tree.nodes), **ours}
            if theirs:
                ratios = {key: round(theirs[key] / ours[key], 1) for key in ("first_paint_ms", "recolour_ms")}
                found[name] |= {"plotly": theirs, "plotly_over_ours": ratios}
        found["chromium"] = browser.version
        browser.close()
    found["plotly"] = plotly.__version__
    return found


def _on_a_page(browser: Browser, what: Callable[..., dict[str, float]], *args: Any) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1180, "height": 1000})
    try:
        return what(page, *args)
    finally:
        page.close()


def _better(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    return {key: min(value, before.get(key, value)) for key, value in now.items()}


def _plan(tree: ModuleTree, tuning: str) -> vf.Plan:
    return vf.resolve(set_tuning(default_strategy(tree), tree, ["language_model"], tuning), tree)


def _ours(page: Page, tree: ModuleTree, plans: list[vf.Plan]) -> dict[str, Any]:
    first = {
        "tree_state": _wire(tree_state(tree)),
        "plan_state": _wire(plan_state(plans[0], 1, can_undo=False, can_redo=False)),
        "options": {"height": 430, "theme": "light"},
    }
    mount(page, "freezemap", first)
    result: dict[str, Any] = {
        "ready_ms": page.evaluate("ready"),
        "first_paint_ms": page.evaluate("painted"),
    }
    # The same where the processor is four times slower, as anywidget's two seconds must hold there too.
    slow = page.context.browser.new_page(viewport={"width": 1180, "height": 1000})
    slow.context.new_cdp_session(slow).send("Emulation.setCPUThrottlingRate", {"rate": 4})
    mount(slow, "freezemap", first)
    result["first_paint_4x_slower_ms"] = slow.evaluate("painted")
    slow.close()
    page.evaluate(f"() => {{ {TIMED} }}")
    result["recolour_ms"] = _recolour(page, plans, 2)
    result["key_ms"] = _keys(page)
    unfold = "() => timed(() => document.querySelector('[aria-label=\"Fold repeated layers\"]')?.click())"
    result["unfold_all_ms"] = page.evaluate(unfold)["shown"]
    result["recolour_unfolded_ms"] = _recolour(page, plans, 2 + TURNS)
    result["key_unfolded_ms"] = _keys(page)
    result["search_ms"] = page.evaluate("""() => timed(() => {
      const box = document.querySelector('input[type=search]');
      box.value = "q_proj"; box.dispatchEvent(new Event("input", {bubbles: true}));
    })""")["shown"]
    return {key: round(value, 1) for key, value in result.items()}


def _recolour(page: Page, plans: list[vf.Plan], rev: int) -> float:
    times = []
    for turn in range(TURNS):
        state = _wire(plan_state(plans[(turn + 1) % 2], rev + turn, can_undo=True, can_redo=False))
        page.evaluate("(state) => { window.next = state; }", state)
        times.append(page.evaluate("() => timed(() => { model.set('plan_state', next); })")["shown"])
    return statistics.median(times[1:])


def _keys(page: Page) -> float:
    """From a key on the selected language model to the new colours: what the page foresees before Python has answered."""
    press = """(key) => timed(() => document.querySelector(".vf-map").dispatchEvent(
      new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true})))"""
    page.evaluate("() => { channel.silent = true; document.querySelector('.vf-map').focus(); }")
    page.evaluate(press, "ArrowRight")
    times = [page.evaluate(press, key)["shown"] for key in "tftftftf"[:TURNS]]
    assert page.evaluate("() => channel.sent.some((request) => request.name === 'set_tuning')"), "the keys did nothing"
    page.evaluate("() => { channel.silent = false; }")
    return statistics.median(times[1:])


def _theirs(page: Page, tree: ModuleTree, plans: list[vf.Plan]) -> dict[str, float]:
    page.set_content("<!doctype html><body style='margin:0'></body>")
    page.evaluate(f"() => {{ {TIMED} }}")
    load = """async (text) => {
      const start = performance.now();
      const script = document.createElement("script");
      const url = script.src = URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
      await new Promise((r) => { script.onload = r; document.head.append(script); });
      return performance.now() - start;
    }"""
    ready = page.evaluate(load, PLOTLY.read_text(encoding="utf-8"))
    number = {node.path: str(i) for i, node in enumerate(tree.nodes)}
    above = {child.path: number[node.path] for node in tree.nodes for child in node.children}
    columns = {
        "ids": list(number.values()),
        "labels": [node.name or tree.title for node in tree.nodes],
        "parents": [above.get(node.path, "") for node in tree.nodes],
        "values": [node.total_params for node in tree.nodes],
    }
    colours = [[COLOURS[code] for code in node_tunings(plan)] for plan in plans]
    drawn = page.evaluate(DRAW_PLOTLY, {"tree": columns, "colours": colours[0]})["shown"]
    tiles = page.evaluate("() => host.querySelectorAll('g.slice').length")
    assert tiles > 1, "plotly drew nothing"
    page.evaluate("(colours) => { window.colours = colours; }", colours)
    times = [
        page.evaluate(
            "(turn) => timed(() => Plotly.restyle(host, {'marker.colors': [colours[turn]]}))", (turn + 1) % 2
        )["shown"]
        for turn in range(3 if len(tree.nodes) > 2000 else TURNS)
    ]
    result = {"ready_ms": ready, "first_paint_ms": ready + drawn, "recolour_ms": statistics.median(times[1:])}
    return {"tiles": tiles, **{key: round(value, 1) for key, value in result.items()}}


def _wire(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: _wire(part) for key, part in value.items()}
    return [_wire(part) for part in value] if isinstance(value, list | tuple) else value
