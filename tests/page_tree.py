"""Support: the page's side of ``tree_state``, read as js/src/wire/tree_state.ts reads it. No tests here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any


@dataclass
class PageNode:
    """One node as the page knows it."""

    path: str
    class_name: str
    component: str | None
    own: int
    params: int
    bytes: int


def read_page(state: dict[str, Any]) -> list[PageNode]:
    """All nodes, parents first, with the sums of their subtrees."""
    parent, name, sort = (
        struct.unpack(f"<{len(state[key]) // 4}{code}", state[key])
        for key, code in (("parent", "i"), ("name", "I"), ("sort", "I"))
    )
    shown = [component["name"] for component in state["components"]]
    nodes: list[PageNode] = []
    for above, word, row in zip(parent, name, sort, strict=True):
        cls, own, size, component, *_ = state["sorts"][row]
        prefix = f"{nodes[above].path}." if above > 0 else ""
        path = prefix + state["names"][word]
        nodes.append(
            PageNode(path, state["classes"][cls], shown[component] if component >= 0 else None, own, own, size)
        )
    for i in range(len(nodes) - 1, 0, -1):
        nodes[parent[i]].params += nodes[i].params
        nodes[parent[i]].bytes += nodes[i].bytes
    return nodes
