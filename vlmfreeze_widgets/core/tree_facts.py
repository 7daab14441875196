"""What is said of a tree and of single modules, in a few short phrases, the same in text, HTML, terminal and page."""

from __future__ import annotations

from .tree import ModuleTree, Node
from .wording import count, size


def tree_facts(tree: ModuleTree) -> list[str]:
    """The facts beside the total, each a phrase without a full stop.

    How many parameters a token passes in a mixture of experts; buffers, which are no parameters; what the weight files
    hold where that differs; that components were guessed; what the catalogue remarks.
    """
    facts: list[str] = []
    if tree.active_params != tree.total_params:
        facts.append(f"{count(tree.active_params)} active per token")
    if tree.buffers:
        facts.append(f"buffers apart: {count(tree.buffers)} elements, {size(tree.buffer_bytes)}")
    crossing = sum(node.is_cross_attention for node in tree.nodes)
    if crossing:
        facts.append(f"{crossing} cross-attention blocks inside the language model")
    facts += _stored(tree)
    if tree.is_guess:
        facts.append("components are a guess from names; correct them with read_tree(source, components={...})")
    if tree.note:
        facts.append(tree.note)
    return facts


def node_fact(node: Node) -> str:
    """What is remarkable about one module, or ""."""
    if node.is_cross_attention:
        return "cross-attention"
    if node.experts:
        return f"{node.active_experts} of {node.experts} experts per token"
    return ""


def _stored(tree: ModuleTree) -> list[str]:
    stored = tree.checkpoint
    if stored is None:
        return []
    kinds = ", ".join(f"{dtype} {size(nbytes)}" for dtype, nbytes in list(stored.dtypes.items())[:3])
    facts = [
        f"on disk: {size(stored.stored_bytes)} in {len(stored.files)} file{'s' if len(stored.files) != 1 else ''} ({kinds})"
    ]
    if stored.missing:
        facts.append(f"{len(stored.missing)} files of the index are missing, such as {stored.missing[0]}")
    elif stored.stored_params != tree.total_params:
        difference = stored.stored_params - tree.total_params
        word = "more" if difference > 0 else "fewer"
        facts.append(f"the files hold {count(abs(difference))} {word} elements than the model builds")
    return facts
