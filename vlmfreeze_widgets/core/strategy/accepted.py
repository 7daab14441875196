"""What a public function may be given for a strategy or a tree; how arguments are checked is in ``core.arguments``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..arguments import Kind, instance, maybe
from ..errors import InvalidStrategy
from ..tree.tree import ModuleTree
from .plan import Plan
from .strategy import Strategy

STRATEGY = Kind(
    "a vf.Strategy or a mapping of rules",
    lambda value: isinstance(value, Strategy | Mapping),
    "Write, for example, vf.Strategy({{'projector': 'full'}}).",
    error=InvalidStrategy,
    problem="This is not a strategy.",
)
STRATEGY_OR_PLAN = replace(
    STRATEGY,
    expected="a vf.Strategy, a vf.Plan or a mapping of rules",
    fits=lambda value: isinstance(value, Strategy | Plan | Mapping),
)
TREE = maybe(instance(ModuleTree, "a tree that vf.read_tree gave", "Read it first: {name}=vf.read_tree(model)."))
