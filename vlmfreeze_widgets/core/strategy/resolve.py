"""Meets a strategy with a tree: the nearest, most specific rule decides each parameter. Warnings are in
``core.strategy.plan_checks``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..tree.components import COMPONENTS
from ..tree.selectors import Target, find_target
from ..tree.tree import ModuleTree, Node
from .plan import Group, Plan
from .plan_checks import check_plan
from .rates import DEFAULT_WEIGHT_DECAY, default_lr
from .strategy import Strategy
from .tuning import Full, Lora, Tuning, adapter_size


def resolve(strategy: Strategy | Mapping[str, object], tree: Any) -> Plan:  # a tree, or what read_tree takes
    """Gives every parameter of a tree exactly one verdict.

    A rule reaches everything at or below the places that it names (a component: the paths that it owns). Of the rules
    that reach a parameter, the one whose place lies nearest to it wins; of two at the same place a path beats a slice,
    a slice a glob, a glob a regular expression, that a component; then the later one. What no rule reaches is frozen. A
    shared tensor is one thing: it trains if a rule for any of its names says so.

    Args:
        strategy: Rules, or a plain mapping of them.
        tree: From ``read_tree``, or whatever that takes: a model, a config, a folder, a Hub id.

    Returns:
        The plan; refusals are among its warnings, nothing is raised for them here.

    Raises:
        UnknownTarget: A rule or a rate names nothing in the tree; the message gives the nearest names.
        InvalidStrategy: A value that cannot be meant.
    """
    strategy = strategy if isinstance(strategy, Strategy) else Strategy(strategy)
    if not isinstance(tree, ModuleTree):
        from ...engine.model.read import read_tree

        tree = read_tree(tree)
    assert isinstance(tree, ModuleTree)
    rules = Lookup(tree, dict(strategy.rules))
    decided: dict[str, str] = {}
    trainable: set[str] = set()
    for parameter in tree.parameters:
        rule = rules.decide(parameter.name)
        if rule is not None:
            decided[parameter.name] = rule
            if isinstance(strategy.rules[rule], Full):
                trainable.add(parameter.owner)
    lora_targets = {node.path: lora for node, lora in _lora_targets(tree, rules, strategy.rules)}
    groups = _groups(strategy, tree, trainable, lora_targets)
    adapter_params = sum(adapter_size(tree.by_path[path], lora) for path, lora in lora_targets.items())
    warnings = check_plan(strategy, tree, frozenset(trainable), lora_targets, decided, rules.targets)
    return Plan(
        strategy=strategy,
        tree=tree,
        trainable=frozenset(trainable),
        lora_targets=MappingProxyType(lora_targets),
        optimizer_groups=groups,
        decided_by=MappingProxyType(decided),
        warnings=warnings,
        adapter_params=adapter_params,
    )


@dataclass(frozen=True)
class _Hit:
    target: Target
    order: int


class Lookup:
    """Finds, for a path, the key of the most specific entry of a mapping from targets.

    Args:
        tree: Where the targets are looked up.
        entries: Target -> anything; the key "" is no target and is left to the caller.

    Raises:
        UnknownTarget: An entry names nothing in the tree.
    """

    def __init__(self, tree: ModuleTree, entries: Mapping[str, object]) -> None:
        self._tree = tree
        self.targets: dict[str, Target] = {text: find_target(text, tree) for text in entries if text}
        self._at: dict[str, list[_Hit]] = {}
        self._known: dict[str, dict[str, tuple[str, Target] | None]] = {}
        for order, target in enumerate(self.targets.values()):
            for place in target.places:
                self._at.setdefault(place, []).append(_Hit(target, order))

    def decide(self, path: str) -> str | None:
        """The key that rules over a parameter or module path, or None."""
        hit = self._nearest(path)
        return None if hit is None else hit[1].text

    def place_of(self, path: str) -> str | None:
        """The place through which the winning key reaches ``path``."""
        hit = self._nearest(path)
        return None if hit is None else hit[0]

    def _nearest(self, path: str) -> tuple[str, Target] | None:
        """The winning key and its place. Whatever was found on the way up is kept: brothers ask for the same again."""
        if not self._at:
            return None
        component = self._tree.component_of(path)
        known = self._known.setdefault(component, {})
        passed: list[str] = []
        place, found = path, None
        while True:
            if place in known:
                found = known[place]
                break
            passed.append(place)
            if place in self._at and (found := self._best(place, component)) is not None:
                break
            if not place:
                break
            place = place.rpartition(".")[0]
        for place in passed:
            known[place] = found
        return found

    def _best(self, place: str, component: str) -> tuple[str, Target] | None:
        # A component's rule stops where another component begins inside it (a merger inside the vision tower).
        hits = [hit for hit in self._at[place] if hit.target.kind != "component" or hit.target.text == component]
        if not hits:
            return None
        return place, max(hits, key=lambda hit: (hit.target.specificity(place), hit.order)).target


def _lora_targets(tree: ModuleTree, rules: Lookup, tunings: Mapping[str, Tuning]) -> Iterator[tuple[Node, Lora]]:
    for node in tree.nodes:
        if not node.adaptable:
            continue
        # The weight decides, not the module: a rule may name "q_proj.weight" itself. A stack of experts is its own weight.
        weight = f"{node.path}.weight"
        rule = rules.decide(weight if weight in tree.by_name else node.path)
        if rule is None or not isinstance(lora := tunings[rule], Lora):
            continue
        # "*.q_proj" and "lm_head" name the module; "re:.*" merely reaches it.
        pattern = rules.targets[rule].kind in ("glob", "regex")
        place = rules.place_of(node.path)
        holder = node.path.rpartition(".")[0] if node.adaptable == "experts" else None
        named_itself = place in (node.path, holder) and (
            not pattern or rule.rpartition(".")[2] in (node.name, *(holder.rpartition(".")[2:] if holder else ()))
        )
        if _is_wanted(node, lora, tree, named_itself):
            yield node, lora


def _is_wanted(node: Node, lora: Lora, tree: ModuleTree, named_itself: bool) -> bool:
    if named_itself and (lora.targets == "all-linear" or node.adaptable == "experts"):
        return True
    if node.adaptable == "experts":
        # "down_proj" means the layers of that name, as in PEFT's target_modules; experts are named as "experts", or with it.
        holder = node.path.rpartition(".")[0]
        return lora.targets != "all-linear" and any(
            holder.endswith(f".{t}") or ("." in t and node.path.endswith(f".{t}")) or t == node.path
            for t in lora.targets
        )
    if lora.targets != "all-linear":
        return any(node.path == t or node.path.endswith(f".{t}") for t in lora.targets)
    return node.adaptable == "linear" and node.path not in tree.head_paths


def _groups(
    strategy: Strategy, tree: ModuleTree, trainable: set[str], lora_targets: Mapping[str, Lora]
) -> tuple[Group, ...]:
    rates = Lookup(tree, dict(strategy.lr))
    decays = Lookup(tree, dict(strategy.weight_decay))
    members: dict[tuple[str, float, float], list[str]] = {}

    def add(path: str, component: str, kind: str, names: list[str], factor: float = 1.0) -> None:
        rate_key, decay_key = rates.decide(path), decays.decide(path)
        fallback = strategy.lr.get("", default_lr(component, kind))
        lr = strategy.lr[rate_key] if rate_key is not None else fallback
        decay = strategy.weight_decay[decay_key or ""] if decay_key or "" in strategy.weight_decay else None
        key = (component, lr * factor, DEFAULT_WEIGHT_DECAY if decay is None else decay)
        members.setdefault(key, []).extend(names)

    for parameter in tree.parameters:
        if parameter.name in trainable:
            add(parameter.name, parameter.component, "full", [parameter.name])
    for path, lora in lora_targets.items():
        component = tree.component_of(path)
        if lora.loraplus_lr_ratio is None:
            add(path, component, "lora", [f"{path}.lora_A", f"{path}.lora_B"])
        else:
            # LoRA+: two groups, as PEFT's create_loraplus_optimizer makes them; the decay is that of the place for both.
            add(path, component, "lora", [f"{path}.lora_A"])
            add(path, component, "lora", [f"{path}.lora_B"], lora.b_lr_factor)
    order = {name: i for i, name in enumerate(COMPONENTS)}
    keys = sorted(members, key=lambda key: (order.get(key[0], len(order)), -key[1]))
    return tuple(Group(*key, params=tuple(members[key])) for key in keys)
