"""A trainer's choice, which is a set of names, written as the rules that a user would write: by component where a component is
of one kind, by path or slice where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ..core.errors import NotExpressible
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.strategy.tuning import FROZEN, FULL, Lora, Tuning
from ..core.tree.block_slices import blocks_of, index_text
from ..core.tree.components import COMPONENTS
from ..core.tree.tree import ModuleTree, Node
from .decays import decay_rules
from .loraplus import with_ratios
from .selection import Selection, differences, most_common_rate, selection_of

_LEAST_BLOCKS = 2
_SHOWN = 3


def to_strategy(selection: Selection, tree: ModuleTree, name: str = "", weight_decay: float | None = None) -> Strategy:
    """The strategy that resolves to a selection.

    Args:
        selection: What trains. An adapter whose two sides learn at different rates gets their ratio (LoRA+); a parameter without
            a rate gets the most common one.
        tree: It was found on.
        name: For people.
        weight_decay: For everything whose decay the selection does not tell.

    Returns:
        Rules by component where they say it exactly, else by path; parameters, adapters and rates are those of the selection.

    Raises:
        NotExpressible: The settings name for an adapter a parameter that is neither a linear layer's weight nor a stack.
    """
    _check_places(selection, tree)
    # A strategy has no word for LoRA on what only looks like a layer, or on a router that PEFT itself put in place of a module; the
    # import says what is not kept.
    sayable = {
        path: lora for path, lora in selection.lora.items() if (node := tree.by_path.get(path)) and node.adaptable
    }
    selection = with_ratios(replace(selection, lora=sayable))
    rules: dict[str, Tuning] = {}
    for component in _components(tree):
        rules.update(_component_rules(component, selection, tree))
    decay = decay_rules(selection, tree, weight_decay)
    made = Strategy(rules, _rates(selection, tree), decay, name)
    if _selects_the_same(made, selection, tree):
        return made
    # Some nest of names defeats the short form (a component inside another, a pattern of experts): say each one.
    exact: dict[str, Tuning] = dict.fromkeys(sorted(selection.trainable), FULL)
    exact = {**{path: replace(lora, targets="all-linear") for path, lora in selection.lora.items()}, **exact}
    return Strategy(exact, _rates(selection, tree, by_component=False), decay, name)


def _check_places(selection: Selection, tree: ModuleTree) -> None:
    """Adapters on parameters such as a router's: left out, a strategy would train something else than the settings do."""
    bare = [path for path in selection.named if path in selection.lora and not _can_adapt(path, tree)]
    if not bare:
        return
    holders = [path.rpartition(".")[0] for path in bare]
    layers = [holder for holder in holders if _can_adapt(holder, tree)]
    raise NotExpressible(
        "These settings put LoRA on a parameter itself that is neither a linear layer's weight nor a stack of experts; a strategy "
        "has no word for it.",
        expected="adapters on layers, and target_parameters that are stacks of experts or weights of linear layers",
        found=", ".join(bare[:_SHOWN]) + (f" and {len(bare) - _SHOWN} more" if len(bare) > _SHOWN else ""),
        remedy=f"Name the layer in target_modules instead, such as {layers[0]}."
        if layers
        else f"Leave it out of target_parameters, and train {holders[0]} in full by a rule of its own.",
    )


def _can_adapt(path: str, tree: ModuleTree) -> bool:
    return path in tree.by_path and bool(tree.by_path[path].adaptable)


def _selects_the_same(strategy: Strategy, selection: Selection, tree: ModuleTree) -> bool:
    found = selection_of(resolve(strategy, tree))
    return not differences(replace(selection, lr=_sayable_rates(selection)), found, tree)


def _components(tree: ModuleTree) -> list[str]:
    held = set(tree.components) | {p.component for p in tree.parameters}
    return [name for name in COMPONENTS if name in held and name in tree.components]


def _component_rules(component: str, selection: Selection, tree: ModuleTree) -> dict[str, Tuning]:
    held = tree.parameters_of[component]
    full = [p for p in held if p.owner in selection.trainable]
    adapters = {path: lora for path, lora in selection.lora.items() if tree.component_of(path) == component}
    if len(full) == len(held) and held and not adapters:
        return {component: FULL}
    rules: dict[str, Tuning] = {component: FROZEN}
    if adapters:
        rules = _lora_rules(component, adapters, tree)
    inside = {p.name for p in full}
    if inside:
        rules.update(_cover(tree, lambda node: _all_full(node, component, inside, adapters), FULL))
        covered = {p.name for place in list(rules) for p in _below(place, tree) if rules[place] == FULL}
        rules.update({p.name: FULL for p in full if p.name not in covered})
    return rules


def _lora_rules(component: str, adapters: Mapping[str, Lora], tree: ModuleTree) -> dict[str, Tuning]:
    """One rule for the component if its adapters are alike and all layers of their names are meant; else one per place."""
    kinds = {replace(lora, targets="all-linear") for lora in adapters.values()}
    linear = {
        n.path
        for n in tree.nodes
        if n.adaptable == "linear" and n.path not in tree.head_paths and tree.component_of(n.path) == component
    }
    if len(kinds) == 1:
        (lora,) = kinds
        if set(adapters) == linear:
            return {component: lora}
        leaves = {path.rpartition(".")[2] for path in adapters}
        alike = {
            n.path for n in tree.nodes if n.adaptable and n.name in leaves and tree.component_of(n.path) == component
        }
        if set(adapters) == alike and not any(tree.by_path[p].adaptable == "experts" for p in adapters):
            return {component: replace(lora, targets=tuple(sorted(leaves)))}
    rules: dict[str, Tuning] = {component: FROZEN}
    for kind in kinds:
        mine = {path for path, lora in adapters.items() if replace(lora, targets="all-linear") == kind}
        rules.update(_cover(tree, lambda node, m=mine: _all_adapted(node, m, linear), kind))  # type: ignore[misc]
        covered = {n.path for place in list(rules) if rules[place] == kind for n in _nodes_below(place, tree)}
        rules.update(dict.fromkeys(sorted(mine - covered), kind))
    return rules


def _all_full(node: Node, component: str, full: set[str], adapters: Mapping[str, Lora]) -> bool:
    names = [p.name for inner in node.walk() for p in inner.parameters]
    return node.component == component and bool(names) and full.issuperset(names) and not any(
        path == node.path or path.startswith(f"{node.path}.") for path in adapters
    )  # fmt: skip


def _all_adapted(node: Node, adapted: set[str], linear: set[str]) -> bool:
    inner = {n.path for n in node.walk()} & (linear | adapted)
    return bool(inner) and inner <= adapted and (inner <= linear or inner == {node.path})


def _cover(tree: ModuleTree, wanted: Callable[[Node], bool], tuning: Tuning) -> dict[str, Tuning]:
    """The largest places for which something holds throughout; blocks in a row as one slice."""

    def down(node: Node) -> Iterator[str]:
        if node.path and wanted(node):
            yield node.path
            return
        blocks = blocks_of(node) if node.is_list else []
        hits = [i for i, block in enumerate(blocks) if wanted(block)]
        if len(hits) >= _LEAST_BLOCKS:
            yield f"{node.path}[{index_text(hits, len(blocks))}]"
        else:
            hits = []
        skipped = {blocks[i].path for i in hits}
        for child in node.children:
            if child.path not in skipped:
                yield from down(child)

    return dict.fromkeys(down(tree.root), tuning)


def _below(place: str, tree: ModuleTree) -> list:  # type: ignore[type-arg]
    return [p for node in _nodes_below(place, tree) for p in node.parameters] + (
        [tree.by_name[place]] if place in tree.by_name else []
    )


def _nodes_below(place: str, tree: ModuleTree) -> list[Node]:
    from ..core.tree.selectors import find_target

    return [n for spot in find_target(place, tree).places if spot in tree.by_path for n in tree[spot].walk()]


def _one_rate_each(selection: Selection) -> dict[str, float]:
    """Of an adapter lora_A's; its tuning holds the ratio of lora_B's to it."""
    usual = most_common_rate(selection.lr) or 0.0
    return {name: selection.lr.get(_side_a(name), selection.lr.get(name, usual)) for name in selection.names}


def _sayable_rates(selection: Selection) -> dict[str, float]:
    factors = {f"{path}.lora_B": lora.b_lr_factor for path, lora in selection.lora.items()}
    return {name: lr * factors.get(name, 1.0) for name, lr in _one_rate_each(selection).items()}


def _side_a(name: str) -> str:
    return name.removesuffix(".lora_B") + ".lora_A" if name.endswith(".lora_B") else name


def _rates(selection: Selection, tree: ModuleTree, by_component: bool = True) -> dict[str, float]:
    rates = _one_rate_each(selection)
    usual = most_common_rate(rates)
    if usual is None:
        return {}
    found = {"": usual}
    by: dict[str, dict[str, float]] = {}
    for name, lr in rates.items():
        path = name.rpartition(".")[0] if name.endswith((".lora_A", ".lora_B")) else name
        by.setdefault(tree.component_of(path), {})[path] = lr
    for component, held in by.items():
        values = set(held.values())
        if len(values) == 1 and by_component and component in tree.components:
            if values != {usual}:
                found[component] = values.pop()
        else:
            found.update({path: lr for path, lr in held.items() if lr != usual})
    return found
