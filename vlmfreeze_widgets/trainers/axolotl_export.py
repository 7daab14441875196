"""A plan as Axolotl's YAML, and what of it surprises people. What a config selects is in ``axolotl``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.tree.tree import ModuleTree
from .axolotl import FLAGS, NAME
from .export_request import ExportRequest
from .flags import read_flags
from .loraplus import ratio_flags
from .peft_export import anchored, leaks, spared_from_conversion
from .selection import Selection
from .yaml_lines import yaml_lines

FILE = "axolotl.yaml"
_MM = ("vision_tower", "projector", "audio_tower")


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Settings that might do what a plan asks, the plainest first."""
    rates = {"learning_rate": wanted.lr, "weight_decay": wanted.weight_decay}
    lora = wanted.lora
    if lora is None:
        yield rates
        yield {"freeze_mm_modules": True, **rates}
        places = [f"^{path}." for path in wanted.every_name(wanted.whole_modules)]
        places += [f"^{name}$" for name in wanted.every_name(wanted.loose_parameters)]
        yield {"unfrozen_parameters": places, **rates}
        return
    values: dict[str, Any] = {"adapter": "lora", "lora_r": lora.rank, "lora_alpha": round(lora.alpha)}
    values |= {"lora_dropout": float(lora.dropout)}
    values |= {f"peft_{name}": True for name in ("use_dora", "use_rslora") if getattr(lora, name)}
    rates = {**rates, **ratio_flags(wanted.selection.lora, wanted.tree)}
    saved = {"lora_modules_to_save": wanted.whole_suffixes} if wanted.whole_suffixes else {}
    yield {**values, "lora_target_linear": True, **saved, **rates}
    yield {**values, "lora_target_linear": True, "freeze_mm_modules": True, **saved, **rates}
    yield {**values, "lora_target_modules": list(wanted.leaf_names), **saved, **rates}
    layers = wanted.every_name(wanted.adapted_layers)
    exact: dict[str, Any] = {"lora_target_modules": anchored(layers)} if layers else {}
    exact |= {"lora_target_parameters": list(wanted.every_name(wanted.adapted_stacks))} if wanted.adapted_stacks else {}
    yield {**values, **exact, **saved, **rates}
    for spared in spared_from_conversion(wanted):
        # Where PEFT rewrites the targets of the model's type. It has no patterns of ranks: those stay as a difference.
        held = {f"lora_{name}": value for name, value in spared.items() if name.startswith("target_") and value}
        yield {**values, **held, **saved, **rates}
    yield {
        **values,
        **exact,
        **({"lora_modules_to_save": list(wanted.every_name(wanted.whole_modules))} if saved else {}),
        **rates,
    }


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """The YAML for ``axolotl train``.

    Args:
        settings: One of the candidates.
        wanted: The plan.
        others: Settings of the user's own, such as datasets and output_dir; they come last.
    """
    folder = wanted.tree.loads_as
    missing = [name for name in ("datasets", "output_dir", "chat_template") if name not in others]
    comments = [f"axolotl train {FILE}", *([f"Still to add: {', '.join(missing)}."] if missing else [])]
    head = {"base_model": folder, "processor_type": "AutoProcessor"}
    return {FILE: yaml_lines({**head, **settings, **others}, comments)}


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these settings is other than it looks."""
    flags = read_flags(given, FLAGS, NAME)
    notes = (
        []
        if flags["adapter"] is None
        else ["Axolotl's LoRA was read from its sources; it was not compared with runs of it."]
    )
    if flags["loraplus_lr_ratio"] is not None:
        notes.append(
            "LoRA+ gives lora_B, and every one-dimensional tensor beside it, the ratio's multiple of the rate"
            + (", and weight_decay does nothing then." if flags["weight_decay"] else ".")
        )
        if flags["adapter"] is None:
            notes[-1] = "Without an adapter there is no lora_B: loraplus_lr_ratio is not followed here."
        elif "loraplus_lr_embedding" in given:
            notes.append(
                "loraplus_lr_embedding does nothing: PEFT 0.19.1, which Axolotl pins, finds no adapter of an embedding."
            )
    if flags["freeze_mm_modules"]:
        notes += _left_open(tree, found)
    notes += leaks(flags["lora_target_modules"], tree)
    if flags["lora_target_linear"]:
        parts = sorted({tree.component_of(path).replace("_", " ") for path in found.lora})
        if len(parts) > 1:
            notes.append(
                f"lora_target_linear takes last names over the whole model: {', '.join(parts)} all get adapters."
            )
    if found.copied:
        notes.append(
            "lora_modules_to_save trains full copies beside the frozen originals: these modules need double memory."
        )
    return notes


def _left_open(tree: ModuleTree, found: Selection) -> list[str]:
    """What freeze_mm_modules does not know: a tower or connector whose names hold none of its words."""
    left = [n for n in found.names if tree.component_of(n.removesuffix(".lora_A").removesuffix(".lora_B")) in _MM]
    return (
        [f"freeze_mm_modules leaves {len(left)} of tower and projector training: {left[0]} holds none of its words."]
        if left
        else []
    )
