"""What a person should know about a plan before it runs: refusals and warnings, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .components import LABELS
from .plan import PlanWarning
from .selectors import Target
from .strategy import Strategy
from .tree import ModuleTree
from .tuning import Full, Lora
from .wording import listed


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
        *_lora_without_target(strategy, lora_targets, targets),
        *_nothing_trains(strategy, tree, trainable, lora_targets),
        *_packed_in_full(tree, trainable),
        *_lora_of_two_kinds(lora_targets),
        *_experts_with_dropout(tree, lora_targets),
        *_torn_ties(strategy, tree, trainable, lora_targets, decided),
        *_leaking_suffixes(strategy, tree, lora_targets),
        *_dead_ends(tree, trainable, lora_targets),
        *_shadowed(strategy, decided, targets),
        *_too_high_rank(tree, lora_targets),
        *_experts_without_lora(tree, trainable, lora_targets),
    ]
    return tuple(sorted(found, key=lambda w: w.severity != "refusal"))


def _nothing_trains(
    strategy: Strategy, tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]
) -> Iterator[PlanWarning]:
    if trainable or lora_targets:
        return
    what = (
        "The strategy is empty: nothing trains." if not strategy.rules else "Every parameter is frozen: nothing trains."
    )
    suggestion = "projector" if "projector" in tree.components else next(iter(tree.components), "some.module")
    yield PlanWarning(
        "nothing-trainable",
        "refusal",
        what,
        f"Set a component to full or LoRA, for example {{'{suggestion}': 'full'}}.",
    )


def _lora_without_target(
    strategy: Strategy, lora_targets: Mapping[str, Lora], targets: Mapping[str, Target]
) -> Iterator[PlanWarning]:
    around = {above for path in lora_targets for above in _upwards(path)}
    for text, tuning in strategy.rules.items():
        if not isinstance(tuning, Lora):
            continue
        places = targets[text].places
        # A rule that finer rules cover completely is "shadowed", not without target.
        if any(place in around or any(above in lora_targets for above in _upwards(place)) for place in places):
            continue
        wanted = "linear layer" if tuning.targets == "all-linear" else f"module called {listed(list(tuning.targets))}"
        yield PlanWarning(
            "lora-no-target",
            "refusal",
            f"LoRA on {text!r} finds no {wanted}.",
            "Name modules that exist in targets, set it to full, or freeze it.",
            places,
        )


def _upwards(path: str) -> Iterator[str]:
    """A path and all above it; the root last."""
    yield path
    while path:
        path = path.rpartition(".")[0]
        yield path


def _packed_in_full(tree: ModuleTree, trainable: frozenset[str]) -> Iterator[PlanWarning]:
    packed = tuple(p.name for p in tree.parameters if p.name in trainable and p.is_packed)
    if packed:
        yield PlanWarning(
            "quantized-full",
            "refusal",
            f"{len(packed)} quantized weights ({tree.by_name[packed[0]].dtype}) cannot train in full.",
            "Use LoRA there, or load the model unquantized.",
            packed,
        )


def _lora_of_two_kinds(lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    kinds = {(lora.dropout, lora.use_dora, lora.use_rslora) for lora in lora_targets.values()}
    if len(kinds) > 1:
        yield PlanWarning(
            "lora-two-kinds",
            "refusal",
            "The LoRA rules differ in dropout, DoRA or rslora.",
            "One PEFT adapter has one value for each of them (ranks and alphas may differ): make them equal.",
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
                f"{listed(list(names))} are one tensor: it cannot train in full and carry LoRA.",
                "Give all of its names the same tuning.",
                names,
            )
        elif others:
            yield PlanWarning(
                "tied-weights",
                "warning",
                f"{listed(list(names))} are one tensor: training one trains the other.",
                f"Freeze both if {others[0]} must not change.",
                names,
            )


def _leaking_suffixes(strategy: Strategy, tree: ModuleTree, lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    suffixes = {
        t for r in strategy.rules.values() if isinstance(r, Lora) and r.targets != "all-linear" for t in r.targets
    }
    if not suffixes:
        return
    # What PEFT's own suffix rule would adapt with target_modules=[...]; peers leak here (ms-swift#6079, LLaVA#1647).
    outside = [
        node.path
        for node in tree.nodes
        if node.adaptable not in ("", "experts")
        and node.path not in lora_targets
        and any(node.path == s or node.path.endswith(f".{s}") for s in suffixes)
    ]
    if outside:
        components = list(dict.fromkeys(LABELS.get(tree.component_of(p), "other") for p in outside))
        yield PlanWarning(
            "suffix-leak",
            "warning",
            f"The names {listed(sorted(suffixes))} also exist in the {listed(components)}: {len(outside)} modules.",
            "They are left alone here. Elsewhere give target_modules as full paths, as the saved adapter_config.json does.",
            tuple(outside),
        )


def _dead_ends(tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    dead = [p for p in tree.parameters if p.name in tree.dead_ends]
    paths = [p.name for p in dead if p.name in trainable]
    paths += [p.name for p in dead if p.name.rpartition(".")[0] in lora_targets and p.name.endswith(".weight")]
    if paths:
        component = LABELS.get(tree.component_of(paths[0]), "model")
        yield PlanWarning(
            "no-gradient-path",
            "warning",
            f"{len(paths)} tensors of the {component} are set to train but no gradient reaches them: "
            "the layers after the one whose features are read.",
            "Freeze them; they would only cost memory.",
            tuple(paths),
        )


def _shadowed(strategy: Strategy, decided: Mapping[str, str], targets: Mapping[str, Target]) -> Iterator[PlanWarning]:
    used = set(decided.values())
    for text in strategy.rules:
        if text not in used and targets[text].kind != "component":
            yield PlanWarning(
                "shadowed-rule",
                "warning",
                f"The rule {text!r} decides nothing: more specific rules cover all of it.",
                "Remove it, or the rules below it.",
                targets[text].places,
            )


def _too_high_rank(tree: ModuleTree, lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    paths = [
        path
        for path, lora in lora_targets.items()
        if (shape := tree.by_path[path].lora_shape) is not None and lora.rank > min(shape)
    ]
    if paths:
        yield PlanWarning(
            "rank-above-width",
            "warning",
            f"The rank is larger than the width of {len(paths)} modules: an adapter there costs more than the weight.",
            "Lower the rank, or train those modules in full.",
            tuple(paths),
        )


def _experts_with_dropout(tree: ModuleTree, lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    refused = [
        path
        for path, lora in lora_targets.items()
        if tree.by_path[path].adaptable == "experts" and (lora.dropout or lora.use_dora)
    ]
    if refused:
        yield PlanWarning(
            "lora-experts-dropout",
            "refusal",
            f"LoRA on {len(refused)} stacks of experts cannot have dropout or DoRA.",
            "PEFT adapts a three-dimensional parameter as B·A without its input: set dropout to 0 and use_dora to False.",
            tuple(refused),
        )


def _experts_without_lora(
    tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]
) -> Iterator[PlanWarning]:
    stacks = [n for n in tree.nodes if n.adaptable == "experts"]
    adapted = {tree.component_of(path) for path in lora_targets}
    missed = [n for n in stacks if n.path not in lora_targets and n.path not in trainable and n.component in adapted]
    if not missed or any(n.path in lora_targets for n in stacks):
        return
    component = missed[0].component or "other"
    part = sum(n.total_params for n in missed if n.component == component) / max(tree.component_params(component), 1)
    holders = {n.path.rpartition(".")[0].rpartition(".")[2] for n in missed}
    yield PlanWarning(
        "experts-not-adapted",
        "warning",
        f"LoRA adapts the layers of the {LABELS.get(component, component)}, not its experts: {part:.0%} of its parameters "
        "are experts.",
        f"That is the usual choice. To adapt them too, add a rule such as {{'*.{min(holders)}': LoRA}}.",
        tuple(n.path for n in missed),
    )
