"""The figure of the layers, drawn from the table that tests/architecture enforces, and the text of CONTRIBUTING.md."""

from __future__ import annotations

import ast
import re
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAYS = {
    "core": "values: tree, strategy, plan, history, verdicts; standard library only",
    "engine": "what touches a model: read, apply and undo, cost, burst, probe",
    "adapters": "one third-party library per file",
    "trainers": "one outside trainer per file: its settings, and back",
    "data": "micro-batches from the usual formats",
    "demo": "the tiny VLM, and the recipe that trained it",
    "session": "the only owner of a live model; no Jupyter inside",
    "launch": "the same burst on several processes",
    "pictures": "a tree where there is no kernel",
    "figures": "a history or comparison as plotly",
    "report": "one HTML file",
    "widgets": "what Jupyter shows; torch is never named",
}

JUPYTER = {"IPython", "anywidget", "ipykernel", "ipywidgets", "traitlets"}


def rooms() -> dict[str, tuple[list[str], list[str]]]:
    """Layer -> (layers, libraries) that it may import, from the bottom up, as the test's table says."""
    source = (ROOT / "tests" / "architecture" / "test_layers.py").read_text(encoding="utf-8")
    named: dict[str, ast.expr] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named[node.targets[0].id] = node.value
    layers = named["LAYERS"]
    assert isinstance(layers, ast.Dict)
    found = {}
    for key, room in zip(layers.keys, layers.values, strict=True):
        assert isinstance(key, ast.Constant)
        assert isinstance(room, ast.Call)
        below, libraries = ([*map(_names(named), room.args), set(), set()])[:2]
        found[str(key.value)] = (sorted(below), sorted(libraries))
    return found


def _names(named: dict[str, ast.expr]):  # noqa: ANN202 - a function of an expression
    def names(node: ast.expr) -> set[str]:
        if isinstance(node, ast.BinOp):
            return names(node.left) | names(node.right)
        if isinstance(node, ast.Name):
            return names(named[node.id])
        found: set[str] = set(ast.literal_eval(node))
        return found

    return names


def layers_figure() -> str:
    """An SVG in the colours of the page: the layers as a stack, each with what it holds and what it may import."""
    table = rooms()
    height, width, gap = 46, 760, 8
    total = (height + gap) * len(table) + 8
    parts = [
        f'<svg class="layers" role="img" aria-label="The layers, the lowest at the bottom" viewBox="0 0 {width} {total}" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    for i, (name, (below, libraries)) in enumerate(reversed(table.items())):
        y = 4 + i * (height + gap)
        may = ", ".join(below) or "nothing of the package"
        jupyter = ["Jupyter's"] if JUPYTER.issubset(libraries) else []
        shown = jupyter + [library for library in libraries if not jupyter or library not in JUPYTER]
        more = f" + {', '.join(shown)}" if shown else ""
        parts += [
            f'<rect x="1" y="{y}" width="{width - 2}" height="{height}" rx="5"/>',
            f'<text class="name" x="14" y="{y + 28}">{escape(name)}</text>',
            f'<text x="130" y="{y + 19}">{escape(SAYS.get(name, ""))}</text>',
            f'<text class="may" x="130" y="{y + 36}">imports {escape(may)}{escape(more)}</text>',
        ]
    return "\n".join([*parts, "</svg>\n"])


def contributing() -> str:
    """CONTRIBUTING.md without its title, its headings one level lower where they would stand beside the page's own."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.sub(r"\A# .*\n+", "", text)
