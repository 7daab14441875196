"""The module tree as a text table for the terminal and ``print``. Repeated blocks are folded; pictures live elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..language.format import count, printable, share
from .components import LABELS
from .facts import node_fact, tree_facts
from .folding import folded_children, signatures, tree_folds
from .node import Node

if TYPE_CHECKING:
    from .tree import ModuleTree


def tree_text(tree: ModuleTree, depth: int = 4, width: int = 46) -> str:
    """A table of the tree.

    Args:
        tree: What to show.
        depth: Levels below the root.
        width: Characters of the name column.

    Returns:
        Lines of name, parameters, share, component and class. Blocks that are alike are one line ("layers 0–31 ×32").
    """
    lines = [
        f"{tree.title}: {count(tree.total_params)} parameters, {tree.dtype} on {tree.device}",
        *(f"  {fact}" for fact in tree_facts(tree)),
        f"{'module':<{width}} {'parameters':>12} {'share':>8}  {'component':<15} class",
    ]
    known = signatures(tree.root)
    for node, label, total, level in _rows(tree.root, known, depth):
        name = "  " * (level - 1) + label
        if len(name) > width:
            name = name[: width - 1] + "…"
        component = LABELS.get(node.component or "", "·")
        lines.append(
            f"{name:<{width}} {count(total):>12} {share(total, tree.total_params):>8}  {component:<15} {_class(node)}"
        )
    lines.append("")
    for component, paths in tree.components.items():
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        lines.append(f"{LABELS.get(component, component):<18} {count(tree.component_params(component)):>10}  {shown}")
    for fold in (f for f in tree_folds(tree, known) if "…" in f.label):
        lines.append(f"{fold.holder}: {fold.precise} are alike ({fold.representative.class_name})")
    for owner, names in tree.aliases.items():
        lines.append(f"shared: {' = '.join(names)} (counted once, at {owner})")
    return "\n".join(map(printable, lines))


def _class(node: Node) -> str:
    fact = node_fact(node)
    return f"{node.class_name} ({fact})" if fact else node.class_name


def _rows(
    node: Node, known: dict[str, int], depth: int, level: int = 1, blocks: int = 1
) -> list[tuple[Node, str, int, int]]:
    """(node, label, parameters, level); inside folded blocks each line is the sum over all of them, so that lines add up."""
    rows: list[tuple[Node, str, int, int]] = []
    for child, label, times in folded_children(node, known):
        rows.append((child, label, child.total_params * times * blocks, level))
        if level < depth:
            rows.extend(_rows(child, known, depth, level + 1, blocks * times))
    return rows
