"""Where everything that trained goes in an adapter folder: which modules PEFT can carry whole, and under which keys the rest lies.

PEFT takes a fully trained module as one of ``modules_to_save``, and finds these by how a path *ends*; a key that names a base
parameter is loaded straight into that parameter (so it keeps embeddings). Writing is in ``peft_files``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from ..core.tree.components import is_below

PREFIX = "base_model.model."


@dataclass(frozen=True)
class FullParts:
    """What trained in full, as an adapter folder holds it.

    Attributes:
        modules: Carried whole, for ``modules_to_save``; those of every name of a shared tensor.
        matched: These, and modules that PEFT takes for one of them because their path ends alike. All must have their tensors.
        tied: Whether what they share is the one tensor of input embeddings and head, which PEFT can keep as one. With more
            uses (an encoder-decoder) it puts one module in the place of another (peft 0.21.2), so there each gets a copy.
        shared: Names of carried parameters that have several uses.
        loose: Trained parameters that no such module can carry -> their name in a model with adapters.
    """

    modules: tuple[str, ...]
    matched: tuple[str, ...]
    tied: bool
    shared: tuple[str, ...]
    loose: Mapping[str, str]


def full_parts(model: nn.Module, trainable: Iterable[str], adapted: Iterable[str]) -> FullParts:
    """Sorts the fully trained parameters of a plan.

    Args:
        model: With or without adapters.
        trainable: Base parameter names; of a shared tensor, any of its names.
        adapted: Keys of ``lora_targets``.
    """
    adapted = tuple(adapted)
    aliases = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        aliases[id(parameter)].append(_plain(name))
    of_name = {name: names for names in aliases.values() for name in names}
    paths = [_plain(path) for path, _ in model.named_modules(remove_duplicate=False)]
    names = {name: of_name.get(name, [name]) for name in trainable}
    holders = {_holder(alias) for held in names.values() for alias in held}
    stacks = set(adapted) - set(paths)
    refused: set[str] = set()
    while True:
        modules = _topmost(path for path in holders - refused if _can_carry(path, adapted))
        matches = {path: [p for p in dict.fromkeys(paths) if p.endswith(path)] for path in modules}
        every = set().union(*matches.values()) if matches else set()
        # A module that only ends alike is saved as it is; where that cannot be, neither of them is carried.
        wrong = {
            path
            for path, found in matches.items()
            if any(not _can_carry(p, adapted) or _is_nested(p, every) for p in found)
        }
        # All names of a shared tensor are carried, or none: PEFT copies a module, and the other use would keep the old values.
        for held in names.values():
            carried = [any(is_below(_holder(alias), path) for path in modules if path not in wrong) for alias in held]
            if any(carried) and not all(carried):
                wrong |= {path for path in modules if any(is_below(_holder(alias), path) for alias in held)}
        if not wrong - refused:
            break
        refused |= wrong
    loose = {
        name: _in_adapted(name, adapted, stacks)
        for name in sorted(names)
        if not any(is_below(_holder(name), path) for path in modules)
    }
    shared = [name for name, held in sorted(names.items()) if name not in loose and len(held) > 1]
    tied = bool(shared) and all({_holder(alias) for alias in names[name]} == _ends(model) for name in shared)
    return FullParts(tuple(sorted(modules)), tuple(sorted(every)), tied, tuple(shared), loose)


def _ends(model: nn.Module) -> set[str]:
    """The paths of a transformers model's input embeddings and head."""
    getters = [getattr(model, name, None) for name in ("get_input_embeddings", "get_output_embeddings")]
    try:
        ends = [getter() for getter in getters if getter is not None]
    except NotImplementedError:
        return set()
    return {_plain(path) for path, module in model.named_modules() if any(module is end for end in ends)}


def _plain(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != "base_layer")


def _holder(name: str) -> str:
    return name.rpartition(".")[0]


def _can_carry(path: str, adapted: Iterable[str]) -> bool:
    """PEFT wraps neither the root nor anything with an adapter in it."""
    return bool(path) and not any(is_below(target, path) for target in adapted)


def _is_nested(path: str, others: Iterable[str]) -> bool:
    return any(other != path and (is_below(other, path) or is_below(path, other)) for other in others)


def _topmost(paths: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: path.count(".")):
        if not any(is_below(path, k) for k in kept):
            kept.append(path)
    return kept


def _in_adapted(name: str, adapted: Iterable[str], stacks: Iterable[str]) -> str:
    """A base parameter's name where its module is adapted: PEFT nests one wrapper around it, or one for each stack of experts."""
    holder, _, last = name.rpartition(".")
    deep = 1 if holder in adapted else sum(_holder(stack) == holder for stack in stacks)
    return f"{holder}{'.base_layer' * deep}.{last}" if holder else last
