"""A plan as ms-swift's YAML, and what of its settings surprises people. What the settings select is in ``ms_swift``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.tree.tree import ModuleTree
from .dataset_files import for_ms_swift
from .export_request import ExportRequest, switches
from .flags import read_flags
from .loraplus import ratio_flags
from .ms_swift import FLAGS, NAME, OLD_NAMES, has_loraplus, optimizer_of
from .ms_swift_archs import Arch, arch_of
from .name_matching import parameter_names, starts_with_any
from .selection import Selection
from .yaml_lines import yaml_lines

TAKES_DATA = True
_SWITCHES = ("freeze_llm", "freeze_vit", "freeze_aligner")
_DEFAULTS = {name: FLAGS[name].default for name in _SWITCHES}
FILE = "ms_swift.yaml"


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Settings that might do what a plan asks, the plainest first."""
    rates = _rates(wanted, arch_of(wanted.tree))
    if wanted.lora is None:
        for setting in switches(*_SWITCHES, defaults=_DEFAULTS):
            yield {"tuner_type": "full", **setting, **rates}
        places = [*(f"{re.escape(path)}\\." for path in wanted.every_name(wanted.whole_modules))]
        places += [f"{re.escape(name)}$" for name in wanted.every_name(wanted.loose_parameters)]
        yield {
            "tuner_type": "full",
            # The aligner's switch would open it again after everything is frozen.
            "freeze_aligner": True,
            "freeze_parameters_ratio": 1.0,
            "trainable_parameters_regex": f"^({'|'.join(places)})",
            **rates,
        }
        return
    lora = wanted.lora
    rank = {"lora_rank": lora.rank, "lora_alpha": lora.alpha}
    values: dict[str, Any] = {"tuner_type": "lora", **rank, "lora_dropout": float(lora.dropout)}
    values |= {name: True for name in ("use_dora", "use_rslora") if getattr(lora, name)}
    values |= {"target_parameters": list(wanted.every_name(wanted.adapted_stacks))} if wanted.adapted_stacks else {}
    values |= ratio_flags(wanted.selection.lora, wanted.tree, "lorap_lr_ratio")
    saved = {"modules_to_save": wanted.whole_suffixes} if wanted.whole_suffixes else {}
    for setting in switches(*_SWITCHES, defaults=_DEFAULTS):
        yield {**values, "target_modules": ["all-linear"], **setting, **saved, **rates}
    yield {"tuner_type": "lora_llm", **rank, **rates}
    pattern = "|".join(re.escape(path) for path in wanted.every_name(wanted.adapted_layers))
    exact = {**values, "target_regex": f"^({pattern})$"}
    yield {**exact, **saved, **rates}
    yield {**exact, **({"modules_to_save": list(wanted.every_name(wanted.whole_modules))} if saved else {}), **rates}


def _rates(wanted: ExportRequest, arch: Arch) -> dict[str, float]:
    names = list(wanted.selection.lr)
    aligner = [name for name in names if starts_with_any(name, arch.aligner)]
    vision = [name for name in names if starts_with_any(name, arch.vision_tower) and name not in set(aligner)]
    parts = {"vit_lr": wanted.rate_of(vision), "aligner_lr": wanted.rate_of(aligner)}
    rest = set(names) - set(aligner) - set(vision)
    usual = wanted.rate_of(rest)
    usual = wanted.lr if usual is None else usual
    own = {name: lr for name, lr in parts.items() if lr is not None and lr != usual}
    return {"learning_rate": usual, **own, "weight_decay": wanted.weight_decay}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """The YAML for ``swift sft``.

    Args:
        settings: One of the candidates.
        wanted: The plan.
        others: Settings of the user's own, such as dataset and output_dir; they come last.
    """
    folder = wanted.tree.loads_as
    others, environment = for_ms_swift(others)
    missing = [name for name in ("dataset", "output_dir") if name not in others]
    comments = [f"swift sft {FILE}", *([f"Still to add: {', '.join(missing)}."] if missing else [])]
    return {FILE: yaml_lines({"model": folder, **settings, **others}, comments) + environment}


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these settings is other than it looks, with the thread that reports it."""
    given = {OLD_NAMES.get(name, name): value for name, value in given.items()}
    flags = read_flags(given, FLAGS, NAME)
    notes: list[str] = []
    try:
        arch = arch_of(tree)
    except TrainerRefuses:
        return notes
    if flags["tuner_type"] == "full":
        return notes + _quirks_of_full(flags, tree) + _quirks_of_rates(flags, arch, found)
    ignored = [name for name in given if name.startswith(("freeze_parameters", "trainable_parameters"))]
    if ignored:
        notes.append(f"{', '.join(ignored)}: only tuner_type full looks at these (ms-swift#6421).")
    if flags["tuner_type"] == "lora" and given.get("freeze_aligner") is False:
        notes.append("With LoRA, freeze_aligner: false puts adapters on the aligner; it does not train it in full.")
    if flags["tuner_type"] == "lora" and "all-linear" not in flags["target_modules"] and flags["target_regex"] is None:
        vision = [path for path in found.lora if starts_with_any(path, arch.vision_tower)]
        if vision and flags["freeze_vit"]:
            notes.append(
                f"target_modules are suffixes over the whole model: {len(vision)} of them lie in the vision tower."
            )
    if flags["tuner_type"] == "lora_llm":
        notes.append(
            "lora_llm ignores dropout, DoRA, rsLoRA, targets and freeze switches, and saves the vision tower in vit.safetensors, "
            "which PEFT alone does not load."
        )
    return notes + _quirks_of_rates(flags, arch, found)


def _quirks_of_full(flags: Mapping[str, Any], tree: ModuleTree) -> list[str]:
    notes: list[str] = []
    if flags["freeze_llm"] and "head" in tree.components:
        notes.append(
            "Before PR#6651 freeze_llm left lm_head training (ms-swift#6079, #5485): look at the count it prints."
        )
    names = parameter_names(tree)
    for flag in ("freeze_parameters", "trainable_parameters"):
        for prefix in flags[flag]:
            if not any(name.startswith(prefix) for name in names):
                notes.append(f"{flag}: nothing begins with {prefix!r}, so it does nothing (ms-swift#7226).")
    if flags["trainable_parameters"] and not flags["freeze_parameters_ratio"]:
        notes.append("trainable_parameters adds to what trains anyway; it is not the whole set (ms-swift#4722, #2773).")
    if flags["freeze_parameters_regex"] and _broken(flags["freeze_parameters_regex"]):
        notes.append("freeze_parameters_regex is no regular expression: ms-swift warns and freezes nothing by it.")
    return notes


def _quirks_of_rates(flags: Mapping[str, Any], arch: Arch, found: Selection) -> list[str]:
    notes: list[str] = []
    by_part = flags["vit_lr"] is not None or flags["aligner_lr"] is not None
    kind = optimizer_of(flags)
    if by_part and kind != "multimodal":
        notes.append(f"With the optimizer {kind}, vit_lr and aligner_lr are ignored.")
    if flags["lorap_lr_ratio"] and not has_loraplus(flags):
        why = f"tuner_type {flags['tuner_type']}" if kind == "lorap" else f"the optimizer {kind}"
        notes.append(f"With {why}, lorap_lr_ratio is ignored: lora_B learns at lora_A's rate.")
    if by_part and kind == "multimodal":
        notes.append("With per-part rates the rate that is logged is the vision tower's alone (ms-swift#6616).")
        outside = [
            n for n in found.names if not starts_with_any(n, (*arch.aligner, *arch.vision_tower, *arch.language_model))
        ]
        if outside:
            notes.append(
                f"With per-part rates, versions before 4.6.0 leave {outside[0]} out of the optimizer: it is in no part."
            )
    return notes


def _broken(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return True
    return False
