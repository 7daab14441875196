"""What a user should know about the LoRA of a plan before it runs. Places that cannot carry it are in
``core.strategy.lora_places``, checks of whole plans in ``core.strategy.plan_checks``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..language.format import listed, size
from ..language.phrase import say
from ..tree.components import LABELS
from ..tree.selectors import Target
from ..tree.tree import ModuleTree
from .lora_places import upwards
from .plan import PlanWarning
from .strategy import Strategy
from .tuning import Lora

_COPIED_BYTES = 1 << 30  # below that it is not worth a warning


def without_target(
    strategy: Strategy, tree: ModuleTree, lora_targets: Mapping[str, Lora], targets: Mapping[str, Target]
) -> Iterator[PlanWarning]:
    """A rule that no module carries."""
    around = {above for path in lora_targets for above in upwards(path)}
    for text, tuning in strategy.rules.items():
        if not isinstance(tuning, Lora):
            continue
        places = targets[text].places
        # A rule that finer rules cover completely is "shadowed", not without target.
        if any(place in around or any(above in lora_targets for above in upwards(place)) for place in places):
            continue
        first = next((node.same_as for place in places if (node := tree.by_path.get(place)) and node.same_as), "")
        rule = repr(text)
        by_name = tuning.targets != "all-linear"
        yield PlanWarning(
            "lora-no-target",
            "refusal",
            say("LoRA on {rule} finds no module called {names}.", rule=rule, names=listed(list(tuning.targets)))
            if by_name
            else say("LoRA on {rule} finds no linear layer.", rule=rule),
            say("It is another name of {name}, where it can be adapted.", name=repr(first))
            if first
            else say("Name modules that exist in targets, set it to full, or freeze it."),
            places,
        )


def of_two_kinds(lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    """Values of which one adapter has only one."""
    kinds = {(lora.dropout, lora.use_dora, lora.use_rslora) for lora in lora_targets.values()}
    if len(kinds) > 1:
        yield PlanWarning(
            "lora-two-kinds",
            "refusal",
            say("The LoRA rules differ in dropout, DoRA or rslora."),
            say("One PEFT adapter has one value for each of them (ranks and alphas may differ): make them equal."),
        )


def leaking_suffixes(strategy: Strategy, tree: ModuleTree, lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    """What PEFT's own suffix rule would adapt besides."""
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
        components = list(dict.fromkeys(LABELS.get(tree.component_of(p), LABELS["other"]) for p in outside))
        yield PlanWarning(
            "suffix-leak",
            "warning",
            say(
                "The names {names} also exist in the {parts}: {n} modules.",
                names=listed(sorted(suffixes)),
                parts=listed(components),
                n=len(outside),
            ),
            say(
                "They are left alone here. Elsewhere give target_modules as full paths, as the saved adapter_config.json does."
            ),
            tuple(outside),
        )


def too_high_rank(tree: ModuleTree, lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    """Adapters larger than their weights."""
    paths = [
        path
        for path, lora in lora_targets.items()
        if (shape := tree.by_path[path].lora_shape) is not None and lora.rank > min(shape)
    ]
    if paths:
        yield PlanWarning(
            "rank-above-width",
            "warning",
            say(
                "The rank is larger than the width of {n} modules: an adapter there costs more than the weight.",
                n=len(paths),
            ),
            say("Lower the rank, or train those modules in full."),
            tuple(paths),
        )


def experts_with_dropout(tree: ModuleTree, lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    """What PEFT refuses on stacks of experts."""
    refused = [
        path
        for path, lora in lora_targets.items()
        if tree.by_path[path].adaptable == "experts" and (lora.dropout or lora.use_dora)
    ]
    if refused:
        yield PlanWarning(
            "lora-experts-dropout",
            "refusal",
            say("LoRA on {n} stacks of experts cannot have dropout or DoRA.", n=len(refused)),
            say(
                "PEFT adapts a three-dimensional parameter as B·A without its input: set dropout to 0 and use_dora to False."
            ),
            tuple(refused),
        )


def experts_copied(tree: ModuleTree, lora_targets: Mapping[str, Lora]) -> Iterator[PlanWarning]:
    """What LoRA on stacks of experts costs: PEFT adds B·A of every expert to the whole stack, whichever experts are used.

    The sum is a tensor of the stack's own size, and the product with it keeps it for the backward pass. Traced on
    Qwen3-VL-30B-A3B it is 101 % of the stacks' bytes.
    """
    stacks = [tree.by_path[path] for path in lora_targets if tree.by_path[path].adaptable == "experts"]
    copied = sum(node.total_bytes for node in stacks)
    if copied < _COPIED_BYTES:
        return
    largest = max(node.total_bytes for node in stacks)
    yield PlanWarning(
        "lora-experts-copied",
        "warning",
        say(
            "LoRA on {n} stacks of experts makes a copy of them in every forward pass: {size} beside the weights, kept until "
            "the backward pass.",
            n=len(stacks),
            size=size(copied),
        ),
        say(
            "With checkpointing only about {size} at a time; or leave the experts frozen, which is the usual choice.",
            size=size(2 * largest),
        ),
        tuple(node.path for node in stacks),
    )


def experts_without_lora(
    tree: ModuleTree, trainable: frozenset[str], lora_targets: Mapping[str, Lora]
) -> Iterator[PlanWarning]:
    """Mixtures of which LoRA leaves out nearly everything."""
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
        say(
            "LoRA adapts the layers of the {part}, not its experts: {share} of its parameters are experts.",
            part=LABELS.get(component, component),
            share=f"{part:.0%}",
        ),
        say("That is the usual choice. To adapt them too, add a rule such as {'*.{name}': LoRA}.", name=min(holders)),
        tuple(n.path for n in missed),
    )
