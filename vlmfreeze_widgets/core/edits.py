"""What a click means: small changes of a strategy on a tree, as pure functions. Undo and revisions are the session's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .components import is_below
from .errors import InvalidStrategy
from .presets import preset
from .selectors import find_target
from .strategy import Strategy
from .tree import ModuleTree
from .tuning import FROZEN, FULL, Lora, Tuning, as_tuning


def default_strategy(tree: ModuleTree) -> Strategy:
    """Where a session starts: LLaVA's first stage, the projector alone; everything else is named and frozen."""
    rules = {name: FULL if name == "projector" else FROZEN for name in tree.components}
    return Strategy(rules)


def set_tuning(strategy: Strategy, tree: ModuleTree, targets: Iterable[str], tuning: str) -> Strategy:
    """Sets components or modules to a tuning; finer rules inside them give way.

    Args:
        strategy: As it is.
        tree: What the targets name.
        targets: Component names or paths.
        tuning: "frozen", "lora", "full", or "inherit" to remove the target's own rule.

    Raises:
        UnknownTarget: A target names nothing.
        InvalidStrategy: Not a tuning.
    """
    for target in targets:
        found = find_target(target, tree)
        before = strategy.rules.get(target)
        for other in [t for t in strategy.rules if t != target and _lies_inside(t, found.places, tree, target)]:
            strategy = strategy.without_rule(other)
        if tuning == "inherit":
            strategy = strategy.without_rule(target)
            continue
        wanted: Tuning = as_tuning(tuning)
        if isinstance(wanted, Lora) and isinstance(before, Lora):
            wanted = before
        if before is not None and before.kind != wanted.kind:
            # A rate for full training is 10 to 100 times off for LoRA: let the default of the new kind show.
            strategy = strategy.with_lr(target, None)
        strategy = strategy.with_rule(target, wanted)
    return strategy


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


def set_preset(tree: ModuleTree, name: str) -> Strategy:
    """A published recipe, without rules for components that this model does not have.

    Raises:
        UnknownTarget: No such preset.
    """
    wanted = preset(name)
    return Strategy(
        {t: v for t, v in wanted.rules.items() if t in tree.components},
        {t: v for t, v in wanted.lr.items() if not t or t in tree.components},
        wanted.weight_decay,
        wanted.name,
    )


def _rule_in_force(strategy: Strategy, tree: ModuleTree, target: str) -> tuple[str, Tuning]:
    """The rule of a target; for a component of which only the last blocks train, that of the blocks."""
    places = find_target(target, tree).places
    finer = [t for t in strategy.rules if t != target and t.startswith(f"{target}[")]
    for key in [*finer, target]:
        if key in strategy.rules and strategy.rules[key].kind != "frozen":
            return key, strategy.rules[key]
    return target, strategy.rules.get(target, FROZEN) if places else FROZEN


def _lies_inside(other: str, places: tuple[str, ...], tree: ModuleTree, target: str) -> bool:
    """Whether all places of another rule lie within these; a component's rule lies only within a path's."""
    found = find_target(other, tree)
    if found.kind == "component":
        return False
    if target in tree.components:
        return all(tree.component_of(p) == target for p in found.places)
    return all(any(is_below(p, place) for place in places) for p in found.places)
