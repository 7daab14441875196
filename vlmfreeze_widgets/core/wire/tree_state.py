"""What the page is shown of a tree: the trait ``tree_state`` as tests/wire/README.md fixes it. Plain data and bytes; who sends it
is in ``widgets``, the plan is in ``core.wire.plan_state``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from ..tree.block_slices import ranges
from ..tree.components import COMPONENTS, LABELS
from ..tree.facts import node_fact, tree_facts
from ..tree.folding import tree_folds
from ..tree.node import Node
from ..tree.tree import ModuleTree
from .messages import VERSION


def tree_state(tree: ModuleTree) -> dict[str, Any]:
    """The trait ``tree_state``."""
    nodes = tree.nodes
    index = {node.path: i for i, node in enumerate(nodes)}
    parents = tree.parents
    classes: dict[str, int] = {}
    names: dict[str, int] = {}
    sorts: dict[tuple[int, ...], int] = {}
    shown = [name for name in COMPONENTS if name in tree.components]
    component_index = {name: i for i, name in enumerate(shown)}
    name_column: list[int] = []
    sort_column: list[int] = []
    for i, node in enumerate(nodes):
        sort = (
            classes.setdefault(node.class_name, len(classes)),
            node.own_params,
            node.own_bytes,
            component_index.get(node.component or "", -1),
            int(node.kind == "parameter"),
            int(bool(node.adaptable)),
        )
        sort_column.append(sorts.setdefault(sort, len(sorts)))
        segment = _segment(node, nodes[parents[i]] if i else None)
        name_column.append(names.setdefault(segment, len(names)))
    return {
        "v": VERSION,
        "title": tree.title,
        "dtype": tree.dtype,
        "device": tree.device,
        "total_params": tree.total_params,
        "facts": tree_facts(tree),
        "is_guess": tree.is_guess,
        "notes": [[i, fact] for i, node in enumerate(nodes) if (fact := node_fact(node))],
        "names": list(names),
        "classes": list(classes),
        "components": [_component(tree, name, index) for name in shown],
        "tied": _tied(tree, index),
        "folds": [
            [index[fold.holder], *(number for part in ranges(fold.positions) for number in part)]
            for fold in tree_folds(tree)
        ],
        "sorts": [list(sort) for sort in sorts],
        "parent": _pack("i", parents),
        "name": _pack("I", name_column),
        "sort": _pack("I", sort_column),
    }


def _component(tree: ModuleTree, name: str, index: dict[str, int]) -> dict[str, Any]:
    blocks = tree.blocks(name)
    return {
        "name": name,
        "label": LABELS.get(name, name),
        "nodes": [index[path] for path in tree.components[name] if path in index],
        "params": tree.component_params(name),
        "blocks": None if blocks is None else {"node": index[blocks.path], "count": len(blocks.children)},
    }


def _tied(tree: ModuleTree, index: dict[str, int]) -> list[list[int]]:
    def place(name: str) -> int | None:
        return index.get(name, index.get(name.rpartition(".")[0]))

    pairs = [(place(alias), place(owner)) for owner, names in tree.aliases.items() for alias in names if alias != owner]
    return [[a, b] for a, b in pairs if a is not None and b is not None]


def _segment(node: Node, parent: Node | None) -> str:
    prefix = f"{parent.path}." if parent is not None and parent.path else ""
    return node.path.removeprefix(prefix)


def _pack(code: str, values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}{code}", *values)
