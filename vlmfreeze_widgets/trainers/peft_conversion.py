"""How PEFT from 0.19 on rewrites a LoraConfig for mixtures of experts that transformers 5 stacks (peft#3711): ``gate_proj``,
``up_proj``, ``down_proj`` and ``gate`` become parameters, also where a whole path names one dense layer. Read in PEFT 0.19.0 to
0.21.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..adapters.peft_conversions import Conversion
from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from .name_matching import has_suffix, modules, parameter_names, pattern_of


@dataclass(frozen=True)
class Targets:
    """The fields of a LoraConfig that are rewritten, as PEFT has them afterwards."""

    modules: str | list[str] | None
    parameters: list[str]
    ranks: Mapping[str, Any] = field(default_factory=dict)
    alphas: Mapping[str, Any] = field(default_factory=dict)


def converted(
    given: Targets, lora: Lora, tree: ModuleTree, rule: Conversion, exclude: str | Iterable[str] | None
) -> Targets:
    """What PEFT adapts instead.

    Args:
        given: As written.
        lora: Rank and alpha of the config.
        tree: The model.
        rule: Of its model type.
        exclude: ``exclude_modules``.

    Raises:
        TrainerRefuses: Only some of the names that one parameter holds are targets, at which PEFT stops.
    """
    names = given.modules
    if isinstance(names, str):
        if not rule.texts:
            # 0.19 takes a text for a set of its letters; a module of such a name (Qwen's "q" in attention) is adapted then.
            return Targets(sorted(set(names)), given.parameters, given.ranks, given.alphas)
        resolved = _last_names(names, tree, rule, exclude)
        if not resolved:
            return given
        names = sorted(resolved)
    left: list[str] = []
    added: dict[str, set[str]] = {}
    for name in names or ():
        old = next((old for old in rule.renamed if name == old or name.endswith(f".{old}")), None)
        if old is None:
            left.append(name)
        else:
            added.setdefault(rule.renamed[old], set()).add(old)
    ranks, alphas = dict(given.ranks), dict(given.alphas)
    for parameter, parts in rule.fused.items():
        present = added.get(parameter, set())
        if present and len(present) < len(parts):
            raise TrainerRefuses(
                f"PEFT stops: {', '.join(sorted(present))} and {', '.join(sorted(set(parts) - present))} are one parameter here.",
                expected=f"all of {', '.join(parts)} among the targets, or none",
                found=", ".join(sorted(present)),
                remedy="Name the others too; PEFT rewrites them to the stacked experts (peft#3711).",
            )
        if present and len(parts) > 1:
            key = rf".*\.{re.escape(parameter)}"
            ranks[key], alphas[key] = lora.rank * len(parts), lora.alpha * len(parts)
    return Targets(left, [*given.parameters, *added], ranks, alphas)


def _last_names(text: str, tree: ModuleTree, rule: Conversion, exclude: str | Iterable[str] | None) -> set[str]:
    if text.lower() == "all-linear":
        heads = set(tree.head_paths)
        linear = {n.name for n in modules(tree) if n.peft_kind == "linear" and n.path not in heads}
        return linear | set(rule.renamed)
    pattern = pattern_of(text, "PEFT")
    spared = pattern_of(exclude, "PEFT").fullmatch if isinstance(exclude, str) and exclude else None

    def is_meant(name: str) -> bool:
        if spared is not None and spared(name):
            return False
        if exclude and not isinstance(exclude, str) and has_suffix(name, exclude):
            return False
        return pattern.fullmatch(name) is not None

    names = parameter_names(tree)
    found = {name.rpartition(".")[2] for name in (*(n.path for n in modules(tree)), *names) if is_meant(name)}
    for old, new in rule.renamed.items():
        holders = {name.rpartition(".")[0] for name in names if name.rpartition(".")[2] == new}
        if any(is_meant(f"{holder}.{old}") for holder in holders):
            found.add(old)
    return found
