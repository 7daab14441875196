"""PEFT's rule of selection on names, which PEFT itself, LLaMA-Factory, ms-swift, zero_nlp and LLaVA share. How a plan is written
as a LoraConfig is in ``peft_config``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ..adapters.peft_conversions import Conversion, installed
from ..core.errors import TrainerRefuses
from ..core.shorten import shorten
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree, Node
from .name_matching import has_suffix, modules, parameter_names, pattern_of
from .peft_conversion import Targets, converted
from .peft_parameters import check_alone, check_some, notes_on_unmatched, reached
from .selection import Selection

ADAPTED_KINDS = ("linear", "embedding", "conv")
NO_FORWARD = {"ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}
ALL_LINEAR = "all-linear"


def select(
    tree: ModuleTree,
    targets: str | Iterable[str] | None,
    lora: Lora,
    *,
    modules_to_save: Iterable[str] = (),
    exclude: str | Iterable[str] | None = None,
    layers: int | Iterable[int] | None = None,
    layers_pattern: str | Iterable[str] | None = None,
    rank_pattern: Mapping[str, int] | None = None,
    alpha_pattern: Mapping[str, float] | None = None,
    target_parameters: Iterable[str] = (),
    bias: str = "none",
    conversion: Conversion | None = None,
    conversion_by: str = "",
    adapted_inside: Mapping[str, str] | None = None,
    bias_by_suffix: bool = False,
    stacks_without_dropout: bool = False,
) -> Selection:
    """What PEFT would adapt and train; all arguments as in ``peft.LoraConfig``. Rates are left open.

    Args:
        tree: The model.
        targets: "all-linear", a regular expression (a text), or names that match whole or at a dot as suffix.
        lora: Rank, alpha, dropout and variants of every adapter; the patterns change single ones.
        modules_to_save: Modules trained as a full copy; matched as suffix *without* a dot.
        exclude: Modules never adapted.
        layers: Only in blocks of these indices; with names only.
        layers_pattern: The list that the indices count in.
        rank_pattern: Pattern -> rank.
        alpha_pattern: Pattern -> alpha.
        target_parameters: Parameters themselves, such as stacks of experts, by suffix.
        bias: "none", "all", or "lora_only".
        conversion: How the PEFT in question rewrites the targets of this model type; None of one before 0.19.
        conversion_by: The release of PEFT that does it, for people; by default the installed one.
        bias_by_suffix: Whether bias "all" means names that are or end in "bias" (PEFT 0.21), not all that hold the word (0.18).
        adapted_inside: Class of a wrapper -> the child that a trainer's own patch of PEFT adapts in its place.
        stacks_without_dropout: Whether a trainer's own patch of PEFT gives adapters on parameters no dropout instead of stopping,
            where the conversion found the parameters and target_parameters names none.

    Raises:
        TrainerRefuses: PEFT itself stops: nothing matches, or a match is no layer that it can adapt.
    """
    saved = list(modules_to_save or ())
    parameters = list(target_parameters or ())
    named, asked_for_parameters = tuple(reached(tree, parameters)), bool(parameters)
    ranks, alphas = rank_pattern or {}, alpha_pattern or {}
    rewritten: list[str] = []
    if conversion is not None:
        names = targets if targets is None or isinstance(targets, str) else list(targets)
        given = Targets(names, parameters, ranks, alphas)
        then = converted(given, lora, tree, conversion, exclude)
        # PEFT leaves an empty set where only parameters are left.
        rewritten = [name for name in then.parameters if name not in given.parameters]
        targets, parameters, ranks, alphas = then.modules or None, then.parameters, then.ranks, then.alphas
    stacks = reached(tree, parameters)
    check_some(targets, parameters, stacks)
    if (targets is None and not stacks) or (targets is not None and not isinstance(targets, str) and not list(targets)):
        raise TrainerRefuses(
            "PEFT stops: it is given no target modules.",
            expected="at least one target module",
            found="none",
            remedy="Name target modules, or leave a part with linear layers unfrozen.",
        )
    found = [] if targets is None else _matches(tree, targets, saved, exclude, layers, layers_pattern)
    if adapted_inside:
        inner = (tree.by_path.get(f"{n.path}.{adapted_inside.get(n.class_name)}", n) for n in found)
        found = list({node.path: node for node in inner}.values())
    for node in found:
        if node.peft_kind not in ADAPTED_KINDS:
            raise TrainerRefuses(
                f"PEFT stops: a target is a {node.class_name}, which it cannot adapt.",
                expected="linear, embedding or convolution layers",
                found=node.path,
                remedy="Name the layers inside it instead, such as those that print(tree) shows below it.",
            )
    if targets is not None and not found and not stacks:
        raise TrainerRefuses(
            "PEFT stops: no module matches the targets.",
            expected="a name that a module ends in",
            found=shorten(targets, 120),
            remedy="print(tree) shows every path; releases of transformers differ in names.",
        )
    spared = stacks_without_dropout and not asked_for_parameters
    if stacks:
        check_alone(replace(lora, dropout=0.0) if spared else lora)
    adapters = {}
    for path, name in [*((node.path, node.path) for node in found), *stacks.items()]:
        rank = _by_pattern(ranks, name)
        alpha = _by_pattern(alphas, name)
        adapters[path] = replace(
            lora,
            rank=int(rank if rank is not None else lora.rank),
            alpha=alpha if alpha is not None else lora.alpha,
            dropout=0.0 if spared and path in stacks else lora.dropout,
        )
    copied = _copied(tree, saved)
    for path in sorted({*copied} & adapters.keys()):
        # Copies are found by the end of the name without a dot, adapters spared from them only at one.
        raise TrainerRefuses(
            "PEFT stops (TypeError): a module is to carry an adapter and to be trained as a copy.",
            expected="one or the other",
            found=path,
            remedy="Write the whole path in modules_to_save, or leave the module out of the targets.",
        )
    trainable = {p.owner for path in copied for p in tree.below(path)}
    if bias == "all":
        trainable |= {
            name for name in parameter_names(tree) if (_ends_in_bias(name) if bias_by_suffix else "bias" in name)
        }
    elif bias == "lora_only":
        held = (f"{path}.bias" for path in adapters)
        trainable |= {tree.by_name[name].owner for name in held if name in tree.by_name}
    chosen = Selection(frozenset(trainable), adapters, {}, copied, named=named).noting(
        *_unfit(found), *notes_on_unmatched(parameters, stacks)
    )
    if rewritten:
        return chosen.noting(
            f"PEFT {conversion_by or installed()} adapts the parameters {', '.join(rewritten)} in place of the modules that these "
            f"targets name, as for every model of the type {tree.model_type} (peft#3711, from 0.19 on); PEFT 0.18 takes the "
            "targets as they are."
        )
    return chosen


def _unfit(found: list[Node]) -> list[str]:
    """What PEFT wraps by its class although the adapter does nothing there, or an error."""
    wrapped = [node for node in found if not node.adaptable]
    if not wrapped:
        return []
    return [
        f"PEFT adapts {len(wrapped)} modules by their class whose own forward is another one or is never called, such as "
        f"{wrapped[0].path} ({wrapped[0].class_name}): training stops there, or the adapter does nothing."
    ]


def _ends_in_bias(name: str) -> bool:
    return name == "bias" or name.endswith(".bias")


def _matches(
    tree: ModuleTree,
    targets: str | Iterable[str],
    saved: list[str],
    exclude: str | Iterable[str] | None,
    layers: int | Iterable[int] | None,
    layers_pattern: str | Iterable[str] | None,
) -> list[Node]:
    if isinstance(targets, str) and targets.lower() == ALL_LINEAR:
        # PEFT turns the word into a set of full names and then matches those like any names.
        head = set(tree.head_paths)
        targets = [n.path for n in modules(tree) if _is_linear(n) and n.path not in head]
    if isinstance(targets, str):
        pattern = pattern_of(targets, "PEFT")
        found = [node for node in modules(tree) if pattern.fullmatch(node.path)]
    else:
        exact = set(targets)
        indices = None if layers is None or layers == [] else {layers} if isinstance(layers, int) else set(layers)
        found = []
        for node in modules(tree):
            if node.path in exact or (
                _ends_in_one(node.path, exact)
                and (indices is None or block_index(node.path, layers_pattern) in indices)
            ):
                found.append(node)
    kept = [pattern_of(rf"(^|.*\.){m}($|\..*)", "PEFT") for m in saved]
    return [n for n in found if not _excluded(n.path, exclude) and not any(k.match(n.path) for k in kept)]


def _is_linear(node: Node) -> bool:
    return node.peft_kind == "linear"


def _ends_in_one(path: str, names: set[str]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[i:]) in names for i in range(1, len(parts)))


def _excluded(path: str, exclude: str | Iterable[str] | None) -> bool:
    if not exclude:
        return False
    if isinstance(exclude, str):
        return pattern_of(exclude, "PEFT").fullmatch(path) is not None
    return has_suffix(path, exclude)


def block_index(path: str, pattern: str | Iterable[str] | None) -> int | None:
    """The index of the block that a path lies in: the first number, or the one after the list's name."""
    if not pattern:
        match = re.match(r".*?\.[^.]*\.(\d+)\.", path)
        return int(match[1]) if match else None
    for name in [pattern] if isinstance(pattern, str) else pattern:
        if match := pattern_of(rf"(?:^|.*?\.){name}\.(\d+)\.", "PEFT").match(path):
            return int(match[1])
    return None


def _by_pattern(patterns: Mapping[str, float] | None, path: str) -> float | None:
    for key, value in (patterns or {}).items():
        if pattern_of(rf"(.*\.)?({key})$", "PEFT").match(path):
            return value
    return None


def _copied(tree: ModuleTree, saved: list[str]) -> tuple[str, ...]:
    """The outermost modules whose path ends in one of the names, with or without a dot before it."""
    found: list[str] = []
    for node in tree.nodes:
        if node.kind != "module" or not node.path or not any(node.path.endswith(name) for name in saved):
            continue
        if node.class_name in NO_FORWARD:
            raise TrainerRefuses(
                f"PEFT stops: a {node.class_name} cannot be trained as a copy, because it has no forward of its own.",
                expected="modules that are called",
                found=node.path,
                remedy=f"Name its children: {', '.join(child.path for child in node.children[:2])}, …",
            )
        if not any(node.path.startswith(f"{path}.") for path in found):
            found.append(node.path)
    return tuple(found)
