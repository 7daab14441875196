"""Static pictures: a tree as self-contained HTML with an SVG treemap, for places without a kernel. No scripts, all text escaped."""

from __future__ import annotations

from html import escape

from .core.components import LABELS
from .core.page_state import TUNING_CODES, node_tunings
from .core.plan import Plan
from .core.plan_text import sentence
from .core.tree import ModuleTree, Node
from .core.wording import count, share

_FILL = {0: "#b8c2d3", 1: "#2aa784", 2: "#dd8a38", 3: "#8f9bb3", 4: "#e6eaf1"}
_WIDTH, _HEIGHT = 760, 300


def tree_html(tree: ModuleTree, plan: Plan | None = None) -> str:
    """A picture of the tree, coloured by a plan when there is one, with the table of its components below."""
    codes = dict(zip((n.path for n in tree.nodes), node_tunings(plan), strict=True)) if plan is not None else {}
    parts = [
        f'<div style="font:13px system-ui,sans-serif;max-width:{_WIDTH}px">',
        f"<div><b>{escape(tree.title)}</b> {count(tree.total_params)} parameters · "
        f"{escape(tree.dtype)} on {escape(tree.device)}</div>",
        f"<div>{escape(sentence(plan))}</div>" if plan is not None else "",
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" aria-label="Treemap of {escape(tree.title)}">',
        *_components(tree, codes),
        "</svg><table>",
    ]
    for name in tree.components:
        total = tree.component_params(name)
        parts.append(
            f"<tr><td>{escape(LABELS.get(name, name))}</td><td style='text-align:right'>{count(total)}</td>"
            f"<td style='text-align:right'>{share(total, tree.total_params)}</td></tr>"
        )
    parts.append("</table></div>")
    return "".join(parts)


def _components(tree: ModuleTree, codes: dict[str, int]) -> list[str]:
    # sqrt of the count: with linear areas a projector of 0.3 % would be a hairline.
    weights = [
        (name, max(tree.component_params(name), 1) ** 0.5) for name in tree.components if tree.component_params(name)
    ]
    total = sum(w for _, w in weights) or 1.0
    shapes: list[str] = []
    x = 0.0
    for name, weight in weights:
        width = _WIDTH * weight / total
        leaves = [n for n in tree.nodes if n.component == name and not n.children and n.total_params]
        shapes += _leaves(leaves, codes, x, width)
        label = escape(LABELS.get(name, name))
        shapes.append(
            f'<text x="{x + 4:.1f}" y="13" font-size="11" font-weight="600" fill="currentColor">{label}</text>'
        )
        x += width
    return shapes


def _leaves(leaves: list[Node], codes: dict[str, int], x: float, width: float) -> list[str]:
    """Leaves in rows of equal height, each as wide as its share: rough, but nothing vanishes."""
    if not leaves:
        return []
    columns = max(1, round((len(leaves) * width / (_HEIGHT - 18)) ** 0.5))
    rows = [leaves[i : i + columns] for i in range(0, len(leaves), columns)]
    height = (_HEIGHT - 18) / len(rows)
    shapes: list[str] = []
    for r, row in enumerate(rows):
        weights = [max(n.total_params, 1) ** 0.5 for n in row]
        left = x
        for node, weight in zip(row, weights, strict=True):
            w = (width - 3) * weight / sum(weights)
            fill = _FILL[codes.get(node.path, TUNING_CODES["frozen"])]
            shapes.append(
                f'<rect x="{left:.1f}" y="{18 + r * height:.1f}" '
                f'width="{max(w - 0.6, 0.4):.1f}" height="{max(height - 0.6, 0.4):.1f}" '
                f'fill="{fill}"><title>{escape(node.path)} {count(node.total_params)}</title></rect>'
            )
            left += w
    return shapes
