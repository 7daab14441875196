"""Axolotl: full training, with ``unfrozen_parameters`` in part, or LoRA by ``lora_target_modules`` and ``lora_target_linear``.

``freeze_mm_modules`` and ``unfrozen_parameters`` are held against its own functions (``src/axolotl/utils/freeze.py`` of
axolotl-ai-cloud/axolotl at 067b021c, 0.18.0, ``tests/trainers/published/axolotl.jsonl.gz``); its LoRA was read, not run.
How a plan is written as its YAML is in
``axolotl_export``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..adapters.peft_conversions import conversion_of
from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import loraplus, peft_rule
from .decay_rule import by_classes, with_decay
from .flags import Flag, read_flags
from .name_matching import chosen, modules, parameter_names, pattern_of
from .part_names import has_segment
from .selection import Selection
from .unsloth_layers import CLIPPABLE

NAME = "Axolotl"
PEFT = "0.19.1"
"""The release that it pins: it rewrites targets of mixtures of experts, and its optimizer of LoRA+ finds no embeddings."""
FLAGS: Mapping[str, Flag] = {
    "adapter": Flag("text", None),
    "lora_r": Flag("int", 8),
    "lora_alpha": Flag("int", 16),
    "lora_dropout": Flag("float", 0.0),
    "lora_target_modules": Flag("names or text", None),
    "lora_target_linear": Flag("bool", False),
    "lora_target_parameters": Flag("names", []),
    "lora_modules_to_save": Flag("names", []),
    "peft_layers_to_transform": Flag("numbers", None),
    "peft_use_dora": Flag("bool", False),
    "peft_use_rslora": Flag("bool", False),
    "unfrozen_parameters": Flag("names", []),
    "freeze_mm_modules": Flag("bool", False),
    "loraplus_lr_ratio": Flag("float", None),
    "loraplus_lr_embedding": Flag("float", 1e-6),
    "learning_rate": Flag("float", 2e-4),
    "weight_decay": Flag("float", 0.0),
}
MM_MODULES = (
    "vision_tower", "vision_model", "vision_encoder", "embed_vision", "multi_modal_projector", "visual", "audio_tower",
    "audio_model", "embed_audio",
)  # fmt: skip
"""The segments of names that freeze_mm_modules closes."""
_ROWS = re.compile(r"\[[0-9]*:?[0-9]*\]$")  # "...weight$[:32000]" opens some rows of a tensor


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What Axolotl trains with this config.

    Args:
        given: Keys as in its YAML.
        tree: The model.

    Raises:
        TrainerRefuses: PEFT would stop; or the config asks for something that no strategy can say.
        BadConfig: A value that cannot be meant.
    """
    flags = read_flags(given, FLAGS, NAME)
    adapter = flags["adapter"]
    if adapter not in (None, "lora", "qlora"):
        raise _not_followed("adapter", str(adapter), "lora, qlora or none")
    if adapter is None:
        names = parameter_names(tree)
        opened = [_pattern(text) for text in flags["unfrozen_parameters"]]
        full = chosen(names, lambda name: not opened or any(pattern.match(name) for pattern in opened))
        return with_decay(
            _without_mm(Selection(full), flags).at_rate(flags["learning_rate"]), tree, flags["weight_decay"]
        )
    if flags["unfrozen_parameters"]:
        # It is applied to the model with its adapters, whose names begin otherwise, and switches the adapters off.
        raise _not_followed("unfrozen_parameters beside an adapter", "both", "lora_modules_to_save")
    targets = flags["lora_target_modules"] or []
    if flags["lora_target_linear"]:
        linear = {n.name for n in modules(tree) if n.peft_kind == "linear" and n.path not in tree.head_paths}
        targets = sorted({*(targets if isinstance(targets, list) else [targets]), *(linear - {"lm_head"})})
    lora = Lora(
        flags["lora_r"],
        flags["lora_alpha"],
        flags["lora_dropout"],
        use_dora=flags["peft_use_dora"],
        use_rslora=flags["peft_use_rslora"],
    )
    found = peft_rule.select(
        tree,
        targets or None,
        lora,
        modules_to_save=flags["lora_modules_to_save"],
        layers=flags["peft_layers_to_transform"],
        target_parameters=flags["lora_target_parameters"],
        conversion=conversion_of(tree.model_type, PEFT),
        conversion_by=PEFT,
        adapted_inside=CLIPPABLE,
        stacks_without_dropout=True,  # _patch_peft_param_wrapper_dropout of src/axolotl/loaders/adapter.py
    )
    without = [path for path, adapter in found.lora.items() if adapter.dropout != lora.dropout]
    if without:
        found = _without_dropout(found, lora.dropout, without)
    return _with_rates(_without_mm(found, flags), flags, tree)


def _without_dropout(found: Selection, dropout: float, stacks: list[str]) -> Selection:
    """The selection where nothing but stacks of experts is adapted: PEFT cannot drop out there, and Axolotl then does without."""
    others = len(found.lora) - len(stacks)
    if others:
        raise TrainerRefuses(
            "No strategy can say what Axolotl does with lora_dropout beside stacks of experts.",
            expected="one dropout for all adapters, as one PEFT adapter has it",
            found=f"{dropout:g} on {others} layers and, by Axolotl's patch of PEFT, none on {len(stacks)} stacks such as "
            f"{stacks[0]}",
            remedy="Set lora_dropout to 0, or take the experts out of lora_target_modules.",
        )
    return found.noting(f"Axolotl does without lora_dropout {dropout:g}: on stacks of experts PEFT cannot drop out.")


def _with_rates(found: Selection, flags: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """One rate, or those of LoRA+.

    LoRA+ is PEFT's ``create_loraplus_optimizer`` of the release that it pins, 0.19.1, which finds no adapter of an embedding and
    hence gives none a rate of its own; it is called without a weight decay, so that nothing is decayed.
    """
    usual, ratio = flags["learning_rate"], flags["loraplus_lr_ratio"]
    if ratio is None:
        return with_decay(found.at_rate(usual), tree, flags["weight_decay"])
    loraplus.check_ratio(ratio, NAME)
    rated = loraplus.with_rates(found, tree, usual, ratio)
    return with_decay(rated, tree, 0.0, loraplus.spares_among_sped_up(by_classes))


def _without_mm(found: Selection, flags: Mapping[str, Any]) -> Selection:
    """freeze_mm_modules comes last and closes by segments of names, adapters and copies too; a merger inside ``visual`` with it."""
    if not flags["freeze_mm_modules"]:
        return found
    kept = {path: lora for path, lora in found.lora.items() if not has_segment(path, MM_MODULES)}
    copied = tuple(path for path in found.copied if not has_segment(path, MM_MODULES))
    full = chosen(found.trainable, lambda name: not has_segment(name, MM_MODULES))
    return replace(found, trainable=full, lora=kept, copied=copied)


def _pattern(text: str) -> re.Pattern[str]:
    """Dots stand for themselves, except in ".+"; matched from the beginning of a name."""
    if _ROWS.search(text):
        raise _not_followed("unfrozen_parameters with a range of rows", text, "whole tensors")
    return pattern_of(re.sub(r"\.(?!\+)", r"\\.", text), NAME)


def _not_followed(what: str, found: str, expected: str) -> TrainerRefuses:
    return TrainerRefuses(
        f"No strategy can say what Axolotl does with {what}.",
        expected=expected,
        found=found,
        remedy="Remove it, and say the same by paths.",
    )
