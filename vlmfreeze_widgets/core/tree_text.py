"""The module tree as a text table for the terminal and ``print``. Repeated blocks are folded; pictures live elsewhere."""

from __future__ import annotations

from .components import LABELS
from .tree import ModuleTree, Node
from .wording import count, share


def tree_text(tree: ModuleTree, depth: int = 4, width: int = 46) -> str:
    """A table of the tree.

    Args:
        tree: What to show.
        depth: Levels below the root.
        width: Characters of the name column.

    Returns:
        Lines of name, parameters, share, component and class. Blocks that are alike are one line ("0–31  ×32").
    """
    lines = [
        f"{tree.title}: {count(tree.total_params)} parameters, {tree.dtype} on {tree.device}",
        f"{'module':<{width}} {'parameters':>12} {'share':>7}  {'component':<15} class",
    ]
    for node, label, times, level in _rows(tree.root, depth):
        name = "  " * (level - 1) + label
        if len(name) > width:
            name = name[: width - 1] + "…"
        component = LABELS.get(node.component or "", "·")
        total = node.total_params * times
        lines.append(
            f"{name:<{width}} {count(total):>12} {share(total, tree.total_params):>7}  {component:<15} {node.class_name}"
        )
    lines.append("")
    for component, paths in tree.components.items():
        shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        lines.append(f"{LABELS.get(component, component):<18} {count(tree.component_params(component)):>10}  {shown}")
    for owner, names in tree.aliases.items():
        lines.append(f"shared: {' = '.join(names)} (counted once, at {owner})")
    return "\n".join(lines)


def _rows(node: Node, depth: int, level: int = 1) -> list[tuple[Node, str, int, int]]:
    rows: list[tuple[Node, str, int, int]] = []
    for group in fold_children(node):
        first = group[0]
        label = first.name if len(group) == 1 else f"{first.name}–{group[-1].name}  ×{len(group)}"
        rows.append((first, label, len(group), level))
        if level < depth:
            rows.extend(_rows(first, depth, level + 1))
    return rows


def fold_children(node: Node) -> list[list[Node]]:
    """Groups neighbouring children of a list that are alike in class and count; other children stand alone."""
    groups: list[list[Node]] = []
    for child in node.children:
        last = groups[-1][-1] if groups else None
        if node.is_list and last is not None and _alike(last, child):
            groups[-1].append(child)
        else:
            groups.append([child])
    return groups


def _alike(a: Node, b: Node) -> bool:
    return (a.class_name, a.total_params, len(a.children)) == (b.class_name, b.total_params, len(b.children))
