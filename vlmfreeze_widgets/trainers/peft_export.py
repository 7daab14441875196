"""A plan as PEFT's ``adapter_config.json``: targets as a pattern that is anchored at both ends, so that no suffix leaks into
another part. What a config selects is in ``peft_config``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..adapters.peft_conversions import conversion_of
from ..core.errors import NotExpressible
from ..core.language.format import rate
from ..core.tree.tree import ModuleTree
from .export_request import ExportRequest
from .flags import read_flags
from .peft_config import FLAGS, NAME
from .peft_rule import select
from .selection import Selection

_NOT_KEPT = ("trainable_token_indices", "layer_replication", "lora_bias", "arrow_config", "alora_invocation_tokens")
_NO_PART_OF_IT = ("learning_rate", "weight_decay")


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """The config of a plan with LoRA.

    Raises:
        NotExpressible: The plan has no LoRA, and a LoraConfig needs some.
    """
    lora = wanted.lora
    if lora is None:
        raise NotExpressible(
            "PEFT's LoraConfig cannot say this strategy.",
            expected="LoRA on at least one module",
            found="a strategy without LoRA",
            remedy="Export it for another trainer; to='trainer' writes a script for any strategy.",
        )
    adapters = wanted.selection.lora
    patterns: dict[str, Any] = {}
    for name, of in (("rank_pattern", "rank"), ("alpha_pattern", "alpha")):
        others = {p: getattr(a, of) for p, a in adapters.items() if getattr(a, of) != getattr(lora, of)}
        if others:
            patterns[name] = {f"^{re.escape(n)}": v for path, v in others.items() for n in wanted.every_name([path])}
    layers = wanted.every_name(wanted.adapted_layers)
    config: dict[str, Any] = {"r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": float(lora.dropout)}
    config |= {"target_modules": anchored(layers)} if layers else {}
    config |= {"target_parameters": list(wanted.every_name(wanted.adapted_stacks))} if wanted.adapted_stacks else {}
    config |= {name: True for name in ("use_dora", "use_rslora") if getattr(lora, name)}
    rates = {"learning_rate": wanted.lr, "weight_decay": wanted.weight_decay}
    tied = _without_aliases(wanted)
    if tied != list(wanted.whole_modules):
        # PEFT adds the modules that share these tensors itself, and stops when they are named as well (0.18.1).
        yield {
            **config,
            **patterns,
            "modules_to_save": list(wanted.every_name(tied)),
            "ensure_weight_tying": True,
            **rates,
        }
    for saved in (wanted.whole_suffixes, list(wanted.every_name(wanted.whole_modules))):
        yield {**config, **patterns, **({"modules_to_save": saved} if saved else {}), **rates}
        for spared in spared_from_conversion(wanted):
            yield {**config, **spared, **({"modules_to_save": saved} if saved else {}), **rates}


def spared_from_conversion(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """The targets in a form that PEFT does not rewrite, where it rewrites targets of the model's type (peft#3711).

    A layer is named by its weight, as a parameter: B·A on the weight is LoRA on the layer. That has neither dropout nor DoRA, and
    costs a copy of the weight in each forward pass. Layers of other names are written out, since a pattern is rewritten too.
    """
    rule = conversion_of(wanted.tree.model_type)
    lora = wanted.lora
    if rule is None or lora is None:
        return
    apart = [path for path in wanted.adapted_layers if path.rpartition(".")[2] in rule.renamed]
    layers = wanted.every_name([path for path in wanted.adapted_layers if path not in apart])
    parameters = [*wanted.every_name(wanted.adapted_stacks), *(f"{path}.weight" for path in wanted.every_name(apart))]
    found: dict[str, Any] = {"target_modules": list(layers)} if layers else {"target_modules": None}
    found |= {"target_parameters": parameters} if parameters else {}
    for name, of in (("rank_pattern", "rank"), ("alpha_pattern", "alpha")):
        others = {p: getattr(a, of) for p, a in wanted.selection.lora.items() if getattr(a, of) != getattr(lora, of)}
        if others:
            found[name] = {
                f"^{re.escape(n)}{re.escape('.weight') if path in apart else ''}": value
                for path, value in others.items()
                for n in wanted.every_name([path])
            }
    yield found


def _without_aliases(wanted: ExportRequest) -> list[str]:
    """The whole modules, without those that hold only tensors owned by others."""
    tree = wanted.tree
    return [path for path in wanted.whole_modules if any(p.owner == p.name for p in tree.below(path))]


def anchored(paths: tuple[str, ...]) -> str:
    """A pattern that matches these paths and nothing else, with blocks of a list written as one.

    PEFT matches a text whole, so that a path in it never matches as a suffix of another.
    """
    by_shape: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        by_shape.setdefault(tuple(re.split(r"\d+", path)), []).append(path)
    pieces = []
    for shape, held in by_shape.items():
        columns = [list(dict.fromkeys(column)) for column in zip(*(re.findall(r"\d+", p) for p in held), strict=True)]
        size = 1
        for column in columns:
            size *= len(column)
        if size != len(held):
            pieces += [re.escape(path) for path in held]
            continue
        piece = re.escape(shape[0])
        for column, text in zip(columns, shape[1:], strict=True):
            piece += (column[0] if len(column) == 1 else f"({'|'.join(column)})") + re.escape(text)
        pieces.append(piece)
    return "|".join(pieces)


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """``adapter_config.json``, as ``LoraConfig.from_pretrained`` reads it."""
    config = {name: value for name, value in settings.items() if name not in _NO_PART_OF_IT and value is not None}
    folder = wanted.tree.loads_as if wanted.tree.checkpoint else None
    head = {"peft_type": "LORA", "base_model_name_or_path": folder, "bias": "none"}
    return {"adapter_config.json": json.dumps({**head, **config, **others}, indent=2, sort_keys=True) + "\n"}


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """Suffixes that reach more than one part, and what a config leaves open."""
    flags = read_flags(given, FLAGS, NAME)
    notes = leaks(flags["target_modules"], tree)
    notes += [f"{name} is set, and a strategy cannot keep it." for name in _NOT_KEPT if given.get(name)]
    if flags["bias"] not in (None, "none"):
        notes.append(f"bias {flags['bias']!r} trains {len(found.trainable)} base tensors beside the adapters.")
    if "learning_rate" not in given:
        notes.append(
            f"A LoraConfig holds no learning rate; {rate(flags['learning_rate'])} is assumed for all that trains."
        )
    else:
        notes.append(
            f"A LoraConfig holds no learning rate and no weight decay: set {rate(flags['learning_rate'])} and "
            f"{flags['weight_decay']:g} where you train."
        )
    in_tower = [path for path in found.lora if tree.component_of(path) == "vision_tower"]
    if in_tower:
        notes.append(
            f"{len(in_tower)} adapters lie in the vision tower: servers refuse or misapply these, merge first (vllm#17660)."
        )
    if found.copied:
        notes.append(
            "modules_to_save trains full copies beside the frozen originals: these modules need double memory."
        )
    return notes


def leaks(targets: Any, tree: ModuleTree) -> list[str]:  # as LoraConfig takes them
    """Where one target name reaches into several components, which a bare suffix does in most VLMs.

    Args:
        targets: ``target_modules``.
        tree: The model.
    """
    if not targets or isinstance(targets, str):
        return []
    from ..core.errors import TrainerRefuses
    from ..core.strategy.tuning import Lora

    notes = []
    for name in targets:
        try:
            hit = Counter(tree.component_of(path) for path in select(tree, [name], Lora()).lora)
        except TrainerRefuses:
            continue
        if len(hit) > 1:
            where = ", ".join(f"{count} in {component.replace('_', ' ')}" for component, count in hit.most_common())
            notes.append(
                f"{name!r} is a suffix over the whole model: {where}. A pattern such as '.*language_model.*' keeps it in."
            )
    return notes
