"""What a user should know about a plan before it runs: refusals and warnings, each with a remedy. Those about LoRA alone are in
``core.strategy.lora_checks``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..language.format import listed, rate
from ..language.phrase import say
from ..tree.components import LABELS, is_below
from ..tree.selectors import Target, find_target
from ..tree.tree import ModuleTree
from . import lora_checks, lora_places
from .plan import PlanWarning
from .strategy import Strategy
from .tuning import Full, Lora


def check_plan(
    strategy: Strategy,
    tree: ModuleTree,
    trainable: frozenset[str],
    lora_targets: Mapping[str, Lora],
    decided: Mapping[str, str],
    targets: Mapping[str, Target],
) -> tuple[PlanWarning, ...]:
    """All warnings of one plan, refusals first."""
    found = [
        # The more telling refusal first: "no module called q_proj" explains why nothing trains.
        *lora_places.unfit(strategy, tree, targets),
        *lora_checks.without_target(strategy, tree, lora_targets, targets),
        *_nothing_trains(strategy, tree, trainable, lora_targets),
        *_packed_in_full(tree, trainable),
        *lora_checks.of_two_kinds(lora_targets),
        *lora_checks.experts_with_dropout(tree, lora_targets),
        *lora_places.tied(tree, trainable, lora_targets),
        *_torn_ties(strategy, tree, trainable, lora_targets, decided),
        *lora_checks.leaking_suffixes(strategy, tree, lora_targets),
        *_dead_ends(tree, trainable, lora_targets),
        *_shadowed(strategy, decided, targets),
        *_unused_rates(strategy, tree, trainable, lora_targets),
        *lora_checks.too_high_rank(tree, lora_targets),
        *lora_checks.experts_copied(tree, lora_targets),
        *lora_checks.experts_without_lora(tree, trainable, lora_targets),
    ]
    return tuple(sorted(found, key=lambda w: w.severity != "refusal"))


def _nothing_trains(
    strategy: Strategy, tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]
) -> Iterator[PlanWarning]:
    if trainable or lora_targets:
        return
    what = (
        say("The strategy is empty: nothing trains.")
        if not strategy.rules
        else say("Every parameter is frozen: nothing trains.")
    )
    suggestion = "projector" if "projector" in tree.components else next(iter(tree.components), "some.module")
    yield PlanWarning(
        "nothing-trainable",
        "refusal",
        what,
        say("Set a component to full or LoRA, for example {'{part}': 'full'}.", part=str(suggestion)),
    )


def _packed_in_full(tree: ModuleTree, trainable: frozenset[str]) -> Iterator[PlanWarning]:
    packed = tuple(p.name for p in tree.parameters if p.name in trainable and p.is_packed)
    if packed:
        yield PlanWarning(
            "quantized-full",
            "refusal",
            say(
                "{n} quantized weights ({dtype}) cannot train in full.",
                n=len(packed),
                dtype=tree.by_name[packed[0]].dtype,
            ),
            say("Use LoRA there, or load the model unquantized."),
            packed,
        )


def _torn_ties(
    strategy: Strategy,
    tree: ModuleTree,
    trainable: frozenset[str],
    lora_targets: Mapping[str, Lora],
    decided: Mapping[str, str],
) -> Iterator[PlanWarning]:
    for owner, names in tree.aliases.items():
        if owner not in trainable:
            continue
        adapted = [n for n in names if n.rpartition(".")[0] in lora_targets]
        others = [n for n in names if n not in decided or not isinstance(strategy.rules[decided[n]], Full)]
        if adapted:
            yield PlanWarning(
                "tied-full-and-lora",
                "refusal",
                say("{names} are one tensor: it cannot train in full and carry LoRA.", names=listed(list(names))),
                say("Give all of its names the same tuning."),
                names,
            )
        elif others:
            yield PlanWarning(
                "tied-weights",
                "warning",
                say("{names} are one tensor: training one trains the other.", names=listed(list(names))),
                say("Freeze both if {name} must not change.", name=others[0]),
                names,
            )


def _dead_ends(tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    dead = [p for p in tree.parameters if p.name in tree.dead_ends]
    paths = [p.name for p in dead if p.name in trainable]
    paths += [p.name for p in dead if p.name.rpartition(".")[0] in lora_targets and p.name.endswith(".weight")]
    if paths:
        component = LABELS.get(tree.component_of(paths[0]), say("model"))
        yield PlanWarning(
            "no-gradient-path",
            "warning",
            say(
                "{n} tensors of the {part} are set to train but no gradient reaches them: the layers after the one whose "
                "features are read.",
                n=len(paths),
                part=component,
            ),
            say("Freeze them: training cannot change them."),
            tuple(paths),
        )


def _shadowed(strategy: Strategy, decided: Mapping[str, str], targets: Mapping[str, Target]) -> Iterator[PlanWarning]:
    used = set(decided.values())
    for text in strategy.rules:
        if text not in used and targets[text].kind != "component":
            yield PlanWarning(
                "shadowed-rule",
                "warning",
                say("The rule {rule} decides nothing: more specific rules cover all of it.", rule=repr(text)),
                say("Remove it, or the rules below it."),
                targets[text].places,
            )


def _unused_rates(
    strategy: Strategy, tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]
) -> Iterator[PlanWarning]:
    """A rate for a part that does not train: what trains instead learns at another rate, its default where none is given."""
    trains = (*trainable, *lora_targets)
    for text, lr in strategy.lr.items():
        places = find_target(text, tree).places if text and trains else ()
        if places and not any(is_below(path, place) for place in places for path in trains):
            yield PlanWarning(
                "unused-rate",
                "warning",
                say(
                    "The learning rate {lr} for {target} is used by nothing: nothing there trains.",
                    lr=rate(lr),
                    target=repr(text),
                ),
                say("Let it train, or give the rate to what does: {names}.", names=listed(_training(tree, trains))),
                places,
            )
    if "" in strategy.lr and trains and all(_has_own_rate(path, strategy, tree) for path in trains):
        yield PlanWarning(
            "unused-rate",
            "warning",
            say(
                "The learning rate {lr} for all that has none of its own is used by nothing: {names} have their own.",
                lr=rate(strategy.lr[""]),
                names=listed(_training(tree, trains)),
            ),
            say("Leave it out, or take the rates of these parts out of the strategy."),
            (),
        )


def _has_own_rate(path: str, strategy: Strategy, tree: ModuleTree) -> bool:
    component = tree.component_of(path)
    for text in filter(None, strategy.lr):
        if text in tree.components:
            if text == component:
                return True
        elif any(is_below(path, place) for place in find_target(text, tree).places):
            return True
    return False


def _training(tree: ModuleTree, trains: Iterable[str]) -> list[str]:
    found = {tree.component_of(path) for path in trains}
    return [name for name in tree.components if name in found] or sorted(found)
