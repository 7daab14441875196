"""A plan as arguments for LLaVA-NeXT's train.py, and what of them surprises people. What they select is in ``llava_next``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from ..core.tree.tree import ModuleTree
from .argument_lines import argument_lines
from .dataset_files import for_llava
from .export_request import ExportRequest
from .flags import read_flags
from .llava_next import FLAGS, LANGUAGE, NAME, PROJECTOR, RESAMPLER, TOWER, part_of
from .selection import Selection

TAKES_DATA = True
PARTS = (TOWER, PROJECTOR, LANGUAGE)
"""In the order of its scripts; a resampler is in none of the models that transformers has."""


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Arguments that might do what a plan asks, the plainest first."""
    names = list(wanted.selection.lr)
    inside = {part: [name for name in names if part_of(name) == part] for part in (TOWER, PROJECTOR)}
    usual = wanted.rate_of(set(names) - set(inside[TOWER]) - set(inside[PROJECTOR]))
    usual = wanted.lr if usual is None else usual
    rates: dict[str, Any] = {"learning_rate": usual, "weight_decay": wanted.weight_decay}
    for flag, part in (("mm_projector_lr", PROJECTOR), ("mm_vision_tower_lr", TOWER)):
        own = wanted.rate_of(inside[part])
        rates |= {flag: own} if own not in (None, usual) else {}
    lora = wanted.lora
    adapters: dict[str, Any] = {}
    if lora is not None:
        adapters = {"lora_enable": True, "lora_r": lora.rank, "lora_alpha": round(lora.alpha)}
        adapters |= {"lora_dropout": float(lora.dropout)}
    for number in range(len(PARTS), 0, -1):
        for parts in combinations(PARTS, number):
            yield {"mm_tunable_parts": ",".join(parts), **adapters, **rates}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """An argument file: one argument a line, as its scripts pass them."""
    return argument_lines("llava_next.args", "llava/train/train_mem.py", settings, wanted, for_llava(others))


def quirks(given: Mapping[str, Any], _tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks."""
    parts = given.get("mm_tunable_parts")
    joined = {**given, "mm_tunable_parts": ",".join(map(str, parts))} if isinstance(parts, list | tuple) else given
    flags = read_flags(joined, FLAGS, NAME)
    notes = []
    if "vision_tower" not in given:
        notes.append("Without --vision_tower none of its switches is looked at: everything that is loaded trains.")
    if flags["mm_tunable_parts"] is not None:
        notes += _of_parts(flags)
    elif flags["lora_enable"] and not flags["tune_mm_mlp_adapter"] and not flags["freeze_mm_mlp_adapter"]:
        notes.append("The projector trains in full beside LoRA without being asked for.")
    if flags["unfreeze_language_model"]:
        notes.append("unfreeze_language_model is an argument that its code does not look at.")
    in_tower = [path for path in found.lora if part_of(path) == TOWER]
    if in_tower:
        notes.append(
            f"{len(in_tower)} adapters lie in the vision tower: a checkpoint that has one is searched for the language model's "
            "last names, with or without mm_vision_tower."
        )
    if flags["base_checkpoint"] == "llm" and flags["lora_enable"]:
        notes.append("This holds where model_name_or_path is a language model alone, before there is a tower.")
    return notes


def _of_parts(flags: Mapping[str, Any]) -> list[str]:
    words = flags["mm_tunable_parts"].split(",")
    unknown = [word for word in words if word not in (*PARTS, RESAMPLER)]
    notes = []
    if unknown:
        notes.append(
            f"mm_tunable_parts: {', '.join(map(repr, unknown))} is none of its words and opens nothing; spaces count."
        )
    old = [
        name
        for name in ("freeze_backbone", "tune_mm_mlp_adapter", "freeze_mm_mlp_adapter", "unfreeze_mm_vision_tower")
        if flags[name]
    ]
    if old:
        notes.append(f"{', '.join(old)}: beside mm_tunable_parts these are not looked at.")
    if flags["lora_enable"] and LANGUAGE not in words:
        notes.append("Adapters train although mm_language_model is not among the parts.")
    return notes
