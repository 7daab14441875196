"""Static pictures: a tree as self-contained HTML with an SVG treemap, for places without a kernel. Blocks that are alike and
train alike are one tile. No scripts, all text escaped."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape

from .core.language.format import count, share
from .core.strategy.plan import Plan
from .core.strategy.text import sentence
from .core.tree.components import LABELS, SHORT_LABELS
from .core.tree.facts import tree_facts
from .core.tree.folding import folded_children, signatures
from .core.tree.tree import ModuleTree, Node
from .core.wire.plan_state import node_tunings

_FILL = {0: "#b8c2d3", 1: "#2aa784", 2: "#dd8a38", 3: "#8f9bb3", 4: "#e6eaf1"}
_INK = "#6b7689"  # of labels in an image, which knows no colour of its page: to be read on light and on dark
_WIDTH, _HEIGHT = 760, 300
_LETTER = 5.2  # px, about the mean width of a letter at 9 px
_BOLD = 7.4  # px, the same of a bold one at 11 px
_LOWEST = 0.05  # of the height: a row of norms can still be seen


def tree_html(tree: ModuleTree, plan: Plan | None = None, *, as_image: bool = False) -> str:
    """A picture of the tree, coloured by a plan when there is one, with the table of its components below.

    Args:
        tree: What is drawn.
        plan: What trains.
        as_image: The treemap as an ``img``. Hosts that take SVG out of HTML, as JupyterLab does in notebooks that are not trusted,
            would leave its letters; an image stays. Its tiles have no tooltips then.
    """
    svg = _svg(tree, plan)
    if as_image:
        still = base64.b64encode(svg.replace("currentColor", _INK).encode()).decode()
        svg = f'<img width="100%" alt="Treemap of {escape(tree.title)}" src="data:image/svg+xml;base64,{still}">'
    parts = [
        f'<div style="font:13px system-ui,sans-serif;max-width:{_WIDTH}px">',
        f"<div><b>{escape(tree.title)}</b> {count(tree.total_params)} parameters · "
        f"{escape(tree.dtype)} on {escape(tree.device)}</div>",
        *(f'<div style="opacity:.75">{escape(fact)}</div>' for fact in tree_facts(tree)),
        f"<div>{escape(sentence(plan))}</div>" if plan is not None else "",
        svg,
        "<table>",
    ]
    for name in tree.components:
        total = tree.component_params(name)
        parts.append(
            f"<tr><td>{escape(LABELS.get(name, name))}</td><td style='text-align:right'>{count(total)}</td>"
            f"<td style='text-align:right'>{share(total, tree.total_params)}</td></tr>"
        )
    parts.append("</table></div>")
    return "".join(parts)


def _svg(tree: ModuleTree, plan: Plan | None) -> str:
    shapes = "".join(_components(tree, _tiles(tree, plan)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" '
        f'aria-label="Treemap of {escape(tree.title)}">{shapes}</svg>'
    )


@dataclass(frozen=True)
class _Tile:
    """A leaf, or the leaves of folded blocks that stand at one place in each of them."""

    component: str | None
    name: str
    title: str
    params: int
    code: int


def _tiles(tree: ModuleTree, plan: Plan | None) -> list[_Tile]:
    known = signatures(tree.root)
    codes = bytes(node_tunings(plan)) if plan is not None else bytes(len(tree.nodes))
    start = {node.path: i for i, node in enumerate(tree.nodes)}
    size = dict.fromkeys(start, 1)
    for node in reversed(tree.nodes):
        size[node.path] += sum(size[child.path] for child in node.children)
    tiles: list[_Tile] = []

    def trains(block: Node) -> bytes:
        return codes[start[block.path] : start[block.path] + size[block.path]]

    def down(node: Node, title: str, blocks: int) -> None:
        if not node.children and node.total_params:
            code = codes[start[node.path]]
            tiles.append(_Tile(node.component, node.name, title, node.total_params * blocks, code))
        for child, label, times in folded_children(node, known, trains):
            down(child, f"{title}.{label}" if title else label, blocks * times)

    down(tree.root, "", 1)
    return tiles


def _components(tree: ModuleTree, tiles: list[_Tile]) -> list[str]:
    # sqrt of the count: with linear areas a projector of 0.3 % would be a hairline.
    weights = [
        (name, max(tree.component_params(name), 1) ** 0.5) for name in tree.components if tree.component_params(name)
    ]
    total = sum(w for _, w in weights) or 1.0
    shapes: list[str] = []
    x = 0.0
    for name, weight in weights:
        width = _WIDTH * weight / total
        shapes += _rows([tile for tile in tiles if tile.component == name], x, width)
        if label := _label(name, width):
            shapes.append(
                f'<text x="{x + 4:.1f}" y="13" font-size="11" font-weight="600" fill="currentColor">{escape(label)}</text>'
            )
        x += width
    return shapes


def _label(component: str, width: float) -> str:
    """What a component is called above its column: as much of it as there is room for."""
    room = int((width - 4) / _BOLD)
    for name in (LABELS.get(component, component), SHORT_LABELS.get(component, component)):
        if len(name) <= room:
            return name
    return name[: room - 1] + "…" if room >= 3 else ""


def _rows(tiles: list[_Tile], x: float, width: float) -> list[str]:
    """Tiles in rows, each row as high and each tile as wide as its share: rough, but nothing vanishes."""
    if not tiles:
        return []
    columns = max(1, round((len(tiles) * width / (_HEIGHT - 18)) ** 0.5))
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    sums = [sum(max(tile.params, 1) ** 0.5 for tile in row) for row in rows]
    high = [max(each, _LOWEST * sum(sums)) for each in sums]
    shapes: list[str] = []
    top = 18.0
    for row, share_of_height in zip(rows, high, strict=True):
        height = (_HEIGHT - 18) * share_of_height / sum(high)
        weights = [max(tile.params, 1) ** 0.5 for tile in row]
        left = x
        for tile, weight in zip(row, weights, strict=True):
            w = (width - 3) * weight / sum(weights)
            shapes.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(w - 0.6, 0.4):.1f}" height="{max(height - 0.6, 0.4):.1f}" '
                f'fill="{_FILL[tile.code]}"><title>{escape(tile.title)} {count(tile.params)}</title></rect>'
            )
            if height > 12 and w > _LETTER * len(tile.name) + 6:
                shapes.append(
                    f'<text x="{left + 3:.1f}" y="{top + 10:.1f}" font-size="9" fill="#1c2433" '
                    f'pointer-events="none">{escape(tile.name)}</text>'
                )
            left += w
        top += height
    return shapes
