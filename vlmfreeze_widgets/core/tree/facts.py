"""Facts on a tree and on single modules, in a few short phrases, the same in text, HTML, terminal and page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..language.format import count, size
from ..language.phrase import say, say_count
from .node import Node

if TYPE_CHECKING:
    from .tree import ModuleTree


def tree_facts(tree: ModuleTree) -> list[str]:
    """The facts beside the total, each a phrase without a full stop.

    How many parameters a token passes in a mixture of experts; buffers, which are no parameters; what the weight files
    hold where that differs; that components were guessed; what the catalogue remarks.
    """
    facts: list[str] = []
    if tree.active_params != tree.total_params:
        facts.append(say("{count} active per token", count=count(tree.active_params)))
    if tree.buffers:
        facts.append(
            say("buffers apart: {count} elements, {size}", count=count(tree.buffers), size=size(tree.buffer_bytes))
        )
    crossing = sum(node.is_cross_attention for node in tree.nodes)
    if crossing:
        facts.append(say("{n} cross-attention blocks inside the language model", n=crossing))
    facts += _stored(tree)
    if tree.is_guess:
        facts.append(say("components are a guess from names; correct them with read_tree(source, components={...})"))
    if tree.note:
        facts.append(tree.note)
    return facts


def node_fact(node: Node) -> str:
    """What is remarkable about one module, or ""."""
    if node.is_cross_attention:
        return say("cross-attention")
    if node.experts:
        return say("{some} of {all} experts per token", some=node.active_experts, all=node.experts)
    return ""


def _stored(tree: ModuleTree) -> list[str]:
    stored = tree.checkpoint
    if stored is None:
        return []
    kinds = ", ".join(f"{dtype} {size(nbytes)}" for dtype, nbytes in list(stored.dtypes.items())[:3])
    facts: list[str] = [
        say_count(
            len(stored.files), "on disk: {size} in {n} file ({kinds})", "on disk: {size} in {n} files ({kinds})",
            size=size(stored.stored_bytes), kinds=kinds,
        )
    ]  # fmt: skip
    if stored.missing:
        facts.append(
            say("{n} files of the index are missing, such as {name}", n=len(stored.missing), name=stored.missing[0])
        )
    elif stored.stored_params != tree.total_params:
        difference = stored.stored_params - tree.total_params
        off = count(abs(difference))
        facts.append(
            say("the files hold {count} more elements than the model builds", count=off)
            if difference > 0
            else say("the files hold {count} fewer elements than the model builds", count=off)
        )
    return facts
