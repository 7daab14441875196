"""Support: mounts a built bundle in a bare page of a real Chromium, the way anywidget does, on a fake model. No tests here.

The kernel's side is played in the page: every request is recorded and, unless it is set up otherwise, answered at once.
"""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from vlmfreeze_widgets.widgets.assets import asset

GOLDEN = Path(__file__).resolve().parents[1] / "wire"
ORDER = ("vision_tower", "projector", "language_model", "embeddings", "head")
CODES = {"frozen": 0, "lora": 1, "full": 2}

HARNESS = """
const errors = window.pageErrors = [];
const revive = (v) => Array.isArray(v) ? v.map(revive) : v && typeof v === "object"
  ? ("base64" in v ? new DataView(Uint8Array.from(atob(v.base64), (c) => c.charCodeAt(0)).buffer)
     : Object.fromEntries(Object.entries(v).map(([k, x]) => [k, revive(x)]))) : v;
class Model {
  constructor(traits) { this.traits = traits; this.listeners = {}; this.sent = []; }
  get(k) { return this.traits[k]; }
  set(k, v) { this.traits[k] = revive(v); this.trigger("change:" + k); }
  on(e, f) { (this.listeners[e] ??= new Set()).add(f); }
  off(e, f) { this.listeners[e]?.delete(f); }
  trigger(e, ...a) { for (const f of [...(this.listeners[e] ?? [])]) f(...a); }
  message(content, base64) { this.trigger("msg:custom", content, base64 ? [revive({base64})] : []); }
  send(request) {
    this.sent.push(structuredClone(request));
    if (this.silent) return;
    const result = request.name === "hello" ? {subshell: "subshell-1"} : request.name === "run" ? {burst: 1} : {};
    setTimeout(() => this.message({v: 1, kind: "reply", id: request.id, ok: true, rev: request.rev + 1, result}), 5);
  }
}
window.mount = async ({esm, css, traits, shadow, width}) => {
  const host = document.createElement("div");
  host.style.width = width + "px";
  document.body.append(host);
  const place = shadow ? host.attachShadow({mode: "open"}) : host;
  const style = document.createElement("style");
  style.textContent = css;
  (shadow ? place : document.head).append(style);
  const el = document.createElement("div");
  place.append(el);
  window.model = new Model(revive(traits));
  window.channel = new Model({});
  const start = performance.now();
  const url = URL.createObjectURL(new Blob([esm], {type: "text/javascript"}));
  const widget = (await import(url)).default;
  const end = window.end = new AbortController();
  await widget.initialize({model, signal: end.signal});
  window.ready = performance.now() - start;
  await widget.render({model, el, signal: end.signal, host: {getModel: async () => channel}});
  await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
  window.painted = performance.now() - start;
};
"""


def mount(page: Page, bundle: str, traits: dict[str, Any], *, shadow: bool = False, width: int = 1150) -> None:
    """Shows a widget; ``window.ready`` and ``window.painted`` are its times in milliseconds."""
    page.set_content("<!doctype html><body style='margin:0'></body>")
    page.evaluate(f"() => {{ {HARNESS} }}")
    text = {ending: asset(f"{bundle}.{ending}").read_text(encoding="utf-8") for ending in ("js", "css")}
    state = {"commands": "anywidget:commands", **traits}
    how = {"esm": text["js"], "css": text["css"], "traits": state, "shadow": shadow, "width": width}
    page.evaluate("(a) => mount(a)", how)


def requests(page: Page, name: str) -> list[dict[str, Any]]:
    """Arguments of the requests of a name that the page has sent."""
    return page.evaluate("(name) => channel.sent.filter((w) => w.name === name).map((w) => w.args)", name)


def pack(code: str, values: list[float]) -> dict[str, str]:
    """A binary column as the golden files write it."""
    return {"base64": base64.b64encode(struct.pack(f"<{len(values)}{code}", *values)).decode()}


class Tree:
    """A tree of LLaVA's proportions, written down as its trait."""

    def __init__(self, layers: int = 32) -> None:
        self.names: list[str] = []
        self.parent: list[int] = []
        self.own: list[float] = []
        self.owner: list[int] = []
        self.lora: list[int] = []
        self.tops: dict[str, int] = {}
        root = self.add("", -1)
        model = self.add("model", root)
        vision = self.add("vision_tower", model, top="vision_tower")
        for i in range(24):
            block = self.add(str(i), vision)
            for name in ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"):
                self.add(name, block, 2.1e6, lora=True)
        projector = self.add("multi_modal_projector", model, top="projector")
        self.add("linear_1", projector, 4.2e6, lora=True)
        self.add("linear_2", projector, 16.8e6, lora=True)
        language = self.add("language_model", model, top="language_model")
        self.add("embed_tokens", language, 131.3e6, top="embeddings")
        for i in range(layers):
            block = self.add(str(i), language)
            for name in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
                self.add(name, block, 2.9e7 * 32 / layers, lora=True)
            self.add("norm", block, 4096)
        self.add("lm_head", root, 131.3e6, top="head")

    def add(self, name: str, parent: int, own: float = 0, *, lora: bool = False, top: str | None = None) -> int:
        node = len(self.names)
        self.names.append(name)
        self.parent.append(parent)
        self.own.append(own)
        self.lora.append(int(lora))
        if top:
            self.tops[top] = node
        self.owner.append(ORDER.index(top) if top else self.owner[parent] if parent >= 0 else 255)
        return node

    def named(self, component: str) -> dict[str, Any]:
        """Name, label and parameters of a component."""
        own = sum(own for own, owner in zip(self.own, self.owner, strict=True) if owner == ORDER.index(component))
        return {"name": component, "label": component.replace("_", " "), "params": own}

    def state(self) -> dict[str, Any]:
        """The trait ``tree_state``."""
        n = len(self.own)
        return {
            "v": 1,
            "title": "llava-like",
            "dtype": "bfloat16",
            "device": "cpu",
            "total_params": sum(self.own),
            "names": self.names,
            "classes": ["Module"],
            "tied": [],
            "components": [{**self.named(c), "nodes": [self.tops[c]], "blocks": None} for c in ORDER],
            "parent": pack("i", self.parent),
            "name": pack("I", list(range(n))),
            "sort": pack("I", list(range(n))),
            "sorts": [
                [0, own, 2 * own, owner if owner < len(ORDER) else -1, 0, lora]
                for own, owner, lora in zip(self.own, self.owner, self.lora, strict=True)
            ],
        }

    def plan(self, rev: int = 1, **tunings: str) -> dict[str, Any]:
        """The trait ``plan_state`` where each component has one tuning."""
        full = {c: tunings.get(c, "frozen") for c in ORDER}
        codes = [CODES[full[ORDER[owner]]] if owner < len(ORDER) else 3 for owner in self.owner]
        nothing = dict.fromkeys(("rank", "alpha", "blocks"))
        row = {"trainable_params": 0, "adapter_params": 0, "targets": 0, "adaptable": 0, "detail": "", **nothing}
        return {
            "v": 1,
            "rev": rev,
            "sentence": " · ".join(f"{c} {t}" for c, t in full.items()),
            "strategy_name": "",
            "trainable_params": 0,
            "total_params": 1,
            "frozen_params": 1,
            "adapter_params": 0,
            "tuning": pack("B", codes),
            "components": [
                {**self.named(c), "tuning": t, "lr": None if t == "frozen" else 1e-3, **row} for c, t in full.items()
            ],
            "counts": {"frozen": 1, "full": 0, "lora": 0, "lora_modules": 0},
            "warnings": [],
            "cost": None,
            "rules": [],
            "can_undo": False,
            "can_redo": False,
        }


def run_state(**change: Any) -> dict[str, Any]:  # any field of the trait
    """The trait ``run_state``, idle unless told otherwise."""
    unknown = (
        "seconds_per_step",
        "eta_seconds",
        "tokens_per_second",
        "memory_bytes",
        "estimate_bytes",
        "verdict_after",
    )
    return {
        "v": 1,
        "phase": "idle",
        "burst": 0,
        "steps": 0,
        "step": 0,
        "rows": 0,
        **dict.fromkeys(unknown),
        "groups": [],
        "columns": {"lr": [], "grad_norm": []},
        "verdicts": [],
        "skipped": 0,
        "default_steps": 50,
        "loss_positions": None,
        "message": None,
        "error": None,
        "can_run": True,
        "why_not": None,
        "outcome": None,
        **change,
    }


def traits(tree: Tree, *, theme: str = "light", height: int = 430, **tunings: str) -> dict[str, Any]:
    """All traits of a Workbench."""
    return {
        "tree_state": tree.state(),
        "plan_state": tree.plan(**(tunings or {"projector": "full", "language_model": "lora"})),
        "run_state": run_state(),
        "handover_state": json.loads((GOLDEN / "state_handover.json").read_text(encoding="utf-8")),
        "options": {"height": height, "theme": theme},
    }
