"""What a click means: small changes of a strategy on a tree, as pure functions. Undo and revisions are the session's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from .errors import InvalidStrategy
from .presets import preset
from .selectors import find_target
from .slices import narrowed
from .strategy import Strategy
from .tree import ModuleTree
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
    for target in targets:
        found = find_target(target, tree)
        before = strategy.rules.get(target)
        strategy = _make_room(strategy, tree, target, _inside(tree, target, found.places))
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


def _make_room(strategy: Strategy, tree: ModuleTree, target: str, inside: Callable[[str], bool]) -> Strategy:
    """Without the other rules that lie inside a target; a component's rule never gives way."""
    renamed: dict[str, list[str]] = {}
    for text in strategy.rules:
        found = find_target(text, tree)
        if text == target or found.kind == "component":
            continue
        within = [inside(place) for place in found.places]
        if all(within):
            renamed[text] = []
        elif any(within) and found.kind == "slice":
            renamed[text] = narrowed(text, lambda place: not inside(place), tree)
    if not renamed:
        return strategy
    rules = {new: tuning for text, tuning in strategy.rules.items() for new in renamed.get(text, [text])}
    rates = {new: lr for text, lr in strategy.lr.items() for new in renamed.get(text, [text])}
    return Strategy(rules, rates, strategy.weight_decay, strategy.name)


def _inside(tree: ModuleTree, target: str, places: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a path lies in a target: a component's own paths, or at and below the places."""
    if target in tree.components:
        return lambda path: tree.component_of(path) == target
    tops = frozenset(places)

    def at_or_below(path: str) -> bool:
        while path not in tops:
            if not path:
                return False
            path = path.rpartition(".")[0]
        return True

    return at_or_below
