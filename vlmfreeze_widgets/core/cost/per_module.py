"""Where the memory of a step lies on the map: bytes per node of a tree, everything below it included."""

from __future__ import annotations

import struct

from ..strategy.plan import Plan
from .estimate import CostEstimate
from .memory import optimizer_bytes
from .static_memory import trained_tensors


def bytes_by_node(plan: Plan, cost: CostEstimate, dtype: str | None = None) -> list[float]:
    """Weights, adapters, master weights, gradients, optimizer state and kept activations per node's subtree, in the tree's order.

    Args:
        plan: Of its tree.
        cost: Of this plan. What a module is the first to keep counts there.
        dtype: To which weights are converted; None: as they are.
    """
    tree = plan.tree
    at = {node.path: i for i, node in enumerate(tree.nodes)}
    found = [0.0] * len(tree.nodes)

    def add(path: str, nbytes: float) -> None:
        # Adapters are modules inside of the one that they adapt; the tree has only that.
        while path not in at:
            path = path.rpartition(".")[0]
        found[at[path]] += nbytes

    for i, node in enumerate(tree.nodes):
        found[i] += node.own_bytes + node.own_buffer_bytes
    optimizer, precision = str(cost.settings["optimizer"]), str(cost.settings["precision"])
    unreached = frozenset(cost.unreached)
    for t in trained_tensors(plan, dtype, precision):
        nbytes = t.master_bytes(precision) + (t.nbytes if t.is_adapter else 0)
        if t.name not in unreached:
            nbytes += t.stepped(precision) + optimizer_bytes(t, optimizer, precision)
        add(t.name, nbytes)
    for path, kept in cost.by_module.items():
        # What is kept outside of every module is the loss, of no module.
        if path:
            add(path, kept)
    for i in range(len(found) - 1, 0, -1):
        found[tree.parents[i]] += found[i]
    return found


def packed(values: list[float]) -> bytes:
    """The column as the wire has it: float32, little-endian."""
    return struct.pack(f"<{len(values)}f", *values)
