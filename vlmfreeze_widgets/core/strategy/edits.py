"""What a click means: small changes of a strategy on a tree, as pure functions. Undo and revisions are the session's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..errors import InvalidStrategy
from ..tree.block_slices import narrowed
from ..tree.selectors import Target, find_target
from ..tree.tree import ModuleTree
from .strategy import Strategy
from .tuning import FROZEN, FULL, Lora, Tuning, as_tuning


def default_strategy(tree: ModuleTree) -> Strategy:
    """Where a session starts: LLaVA's first stage, the projector alone; everything else is named and frozen."""
    rules = {name: FULL if name == "projector" else FROZEN for name in tree.components}
    return Strategy(rules)


def set_tuning(strategy: Strategy, tree: ModuleTree, targets: Iterable[str], tuning: str) -> Strategy:
    """Sets components, modules or slices of blocks to a tuning; finer rules inside them give way.

    A slice that reaches inside with only some of its blocks keeps the others: after ``layers[30:32]`` was set,
    ``layers[0:32].mlp`` is ``layers[0:30].mlp``.

    Args:
        strategy: As it is.
        tree: What the targets name.
        targets: Component names, paths or slices.
        tuning: "frozen", "lora", "full", or "inherit" to remove the target's own rule.

    Raises:
        UnknownTarget: A target names nothing.
        InvalidStrategy: Not a tuning.
    """
    wanted = {target: find_target(target, tree) for target in targets}
    before = strategy.rules
    rules, rates = _make_room(strategy, tree, wanted)
    for target in wanted:
        if tuning == "inherit":
            rules.pop(target, None)
            rates.pop(target, None)
            continue
        chosen, old = as_tuning(tuning), before.get(target)
        if isinstance(chosen, Lora) and isinstance(old, Lora):
            chosen = old
        if old is not None and old.kind != chosen.kind:
            # A rate for full training is 10 to 100 times off for LoRA: let the default of the new kind show.
            rates.pop(target, None)
        rules[target] = chosen
    return Strategy(rules, rates, strategy.weight_decay, strategy.name)


def set_lora(strategy: Strategy, tree: ModuleTree, target: str, rank: int, alpha: float) -> Strategy:
    """Gives a target LoRA of this rank and alpha; its other values stay.

    Raises:
        UnknownTarget: The target names nothing.
        InvalidStrategy: Rank or alpha out of range.
    """
    before = _rule_in_force(strategy, tree, target)
    strategy = set_tuning(strategy, tree, [target], "lora") if before[1].kind != "lora" else strategy
    key = before[0] if before[1].kind == "lora" else target
    old = strategy.rules[key]
    return strategy.with_rule(key, replace(old if isinstance(old, Lora) else Lora(), rank=rank, alpha=alpha))


def set_lr(strategy: Strategy, tree: ModuleTree, target: str, lr: float | None) -> Strategy:
    """Gives a target a learning rate; None goes back to the default.

    Raises:
        UnknownTarget: The target names nothing.
        InvalidStrategy: Not a rate.
    """
    find_target(target, tree)
    return strategy.with_lr(target, lr)


def set_blocks(strategy: Strategy, tree: ModuleTree, component: str, last: int) -> Strategy:
    """Lets only the last blocks of a component keep its tuning; the rest of it is frozen.

    Raises:
        InvalidStrategy: The component has no blocks, or not so many.
    """
    holder = tree.blocks(component)
    count = len(holder.children) if holder is not None else 0
    if not 0 <= last <= count or holder is None:
        raise InvalidStrategy(
            f"The {component} cannot train its last {last} blocks.",
            expected=f"a number from 0 to {count}",
            found=str(last),
            remedy="Choose fewer blocks."
            if count
            else "This component has no repeated blocks; set its tuning instead.",
        )
    _, tuning = _rule_in_force(strategy, tree, component)
    if tuning.kind == "frozen" and last:
        tuning = FULL
    whole = tuning if last == count else FROZEN
    strategy = set_tuning(strategy, tree, [component], "inherit").with_rule(component, whole)
    return strategy.with_rule(f"{component}[-{last}:]", tuning) if 0 < last < count else strategy


def _rule_in_force(strategy: Strategy, tree: ModuleTree, target: str) -> tuple[str, Tuning]:
    """The rule of a target; for a component of which only the last blocks train, that of the blocks."""
    places = find_target(target, tree).places
    finer = [t for t in strategy.rules if t != target and t.startswith(f"{target}[")]
    for key in [*finer, target]:
        if key in strategy.rules and strategy.rules[key].kind != "frozen":
            return key, strategy.rules[key]
    return target, strategy.rules.get(target, FROZEN) if places else FROZEN


def _make_room(
    strategy: Strategy, tree: ModuleTree, targets: Mapping[str, Target]
) -> tuple[dict[str, Tuning], dict[str, float]]:
    """Rules and rates without the other rules that lie inside the targets; a component's rule never gives way.

    All targets are looked at together: a pattern that reaches into several of them gives way when they cover all of it.
    """
    inside = _inside(tree, targets)
    renamed: dict[str, list[str]] = {}
    for text in strategy.rules:
        found = find_target(text, tree)
        if text in targets or found.kind == "component":
            continue
        within = [inside(place) for place in found.places]
        if all(within):
            renamed[text] = []
        elif any(within) and found.kind == "slice":
            renamed[text] = narrowed(text, lambda place: not inside(place), tree)
    rules = {new: tuning for text, tuning in strategy.rules.items() for new in renamed.get(text, [text])}
    rates = {new: lr for text, lr in strategy.lr.items() for new in renamed.get(text, [text])}
    return rules, rates


def _inside(tree: ModuleTree, targets: Mapping[str, Target]) -> Callable[[str], bool]:
    """Whether a path lies in one of the targets: among a component's own paths, or at and below their places."""
    whole = {text for text, found in targets.items() if found.kind == "component"}
    tops = {place for text, found in targets.items() if text not in whole for place in found.places}
    known = dict.fromkeys(tops, True) | ({} if "" in tops else {"": False})

    def at_or_below(path: str) -> bool:
        if path not in known:
            known[path] = at_or_below(path.rpartition(".")[0])
        return known[path]

    return lambda path: (bool(whole) and tree.component_of(path) in whole) or (bool(tops) and at_or_below(path))
