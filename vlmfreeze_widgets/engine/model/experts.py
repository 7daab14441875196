"""Mixtures of experts: which tensors are experts, how many there are, how many of them a token passes. Components are elsewhere.

transformers 5 keeps the experts of a layer as stacked three-dimensional parameters, (experts, out, in) or (experts, in, out),
on a module of their own, beside a router that knows ``top_k``. Older code keeps a ModuleList of MLPs. Both are found here by
structure, without a table of model types.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from .module_paths import attribute, join


@dataclass(frozen=True)
class ExpertShare:
    """The experts of one layer.

    Attributes:
        count: How many there are.
        active: How many of them one token passes.
    """

    count: int
    active: int


def find_experts(model: nn.Module) -> dict[str, ExpertShare]:
    """Path of each module that holds routed experts -> how many there are and how many are active.

    Shared experts, which every token passes, are not among them.
    """
    found: dict[str, ExpertShare] = {}
    for path, parent in model.named_modules():
        if not parent._modules:
            continue
        share = next(_routers(parent), None)
        if share is None:
            continue
        for name, child in parent._modules.items():
            if child is not None and _holds(child, name, share.count):
                found[join(path, name)] = share
    return found


def _routers(parent: nn.Module) -> Iterator[ExpertShare]:
    for module in (*parent._modules.values(), parent):
        count = attribute(module, "num_experts")
        active = attribute(module, "top_k") or attribute(module, "num_experts_per_tok")
        if _is_count(count) and _is_count(active) and 0 < active <= count and count > 1:
            yield ExpertShare(count, active)


def _holds(module: nn.Module, name: str, count: int) -> bool:
    if isinstance(module, nn.ModuleList) and "expert" in name:
        return len(module) == count
    stacked = [p for p in module._parameters.values() if p is not None and p.dim() == 3]
    return bool(stacked) and all(p.shape[0] == count for p in stacked)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
