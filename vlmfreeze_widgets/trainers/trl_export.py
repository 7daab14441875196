"""A plan as a YAML for ``trl sft --config``, and what of TRL's flags surprises people. What they select is in ``trl_flags``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.tree.tree import ModuleTree
from . import hf_trainer
from .export_request import ExportRequest
from .flags import read_flags
from .peft_export import anchored, leaks
from .selection import Selection
from .trl_flags import FLAGS, NAME, SCRIPT_FLAGS
from .yaml_lines import yaml_lines

FILE = "trl_sft.yaml"


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Flags that might do what a plan asks, the plainest first."""
    rates = {"learning_rate": wanted.lr, "weight_decay": wanted.weight_decay}
    lora = wanted.lora
    if lora is None:
        yield rates
        return
    values: dict[str, Any] = {"use_peft": True, "lora_r": lora.rank, "lora_alpha": round(lora.alpha)}
    values |= {"lora_dropout": float(lora.dropout)}
    values |= {name: True for name in ("use_dora", "use_rslora") if getattr(lora, name)}
    saved = {"lora_modules_to_save": wanted.whole_suffixes} if wanted.whole_suffixes else {}
    yield {**values, "lora_target_modules": ["all-linear"], **saved, **rates}
    yield {**values, "lora_target_modules": list(wanted.leaf_names), **saved, **rates}
    layers = wanted.every_name(wanted.adapted_layers)
    exact: dict[str, Any] = {"lora_target_modules": [anchored(layers)]} if layers else {}
    exact |= {"lora_target_parameters": list(wanted.every_name(wanted.adapted_stacks))} if wanted.adapted_stacks else {}
    yield {**values, **exact, **saved, **rates}
    whole = {"lora_modules_to_save": list(wanted.every_name(wanted.whole_modules))} if saved else {}
    yield {**values, **exact, **whole, **rates}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """The YAML for ``trl sft --config``.

    Args:
        settings: One of the candidates.
        wanted: The plan.
        others: Settings of the user's own, such as dataset_name and output_dir; they come last.
    """
    missing = [name for name in ("dataset_name", "output_dir") if name not in others]
    comments = [f"trl sft --config {FILE}", *([f"Still to add: {', '.join(missing)}."] if missing else [])]
    return {FILE: yaml_lines({"model_name_or_path": wanted.tree.loads_as, **settings, **others}, comments)}


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these flags is other than it looks."""
    flags = read_flags(given, FLAGS, NAME)
    if not flags["use_peft"]:
        ignored = [name for name in given if name.startswith("lora_") or name in ("use_dora", "use_rslora")]
        return [f"{', '.join(ignored)}: without use_peft everything trains in full."] if ignored else []
    targets = flags["lora_target_modules"]
    notes = leaks(targets if isinstance(targets, list) and len(targets) > 1 else None, tree)
    if found.copied:
        notes.append(
            "lora_modules_to_save trains full copies beside the frozen originals: these modules need double memory."
        )
    return notes


def quirks_of_either(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """The same for settings that may be the exported script's."""
    if any(name in given for name in SCRIPT_FLAGS.keys() - FLAGS.keys()):
        return hf_trainer.quirks(given, tree, found)
    return quirks(given, tree, found)
