"""PEFT's LoraConfig as settings (``adapter_config.json``): what it selects. PEFT knows no learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..adapters import peft_lora
from ..core.errors import NotExpressible
from ..core.tree import ModuleTree
from ..core.tuning import Lora
from . import peft_rule
from .flags import Flag, read_flags
from .selection import Selection

NAME = "PEFT"
FLAGS: Mapping[str, Flag] = {
    "r": Flag("int", 8),
    "lora_alpha": Flag("float", 8),
    "lora_dropout": Flag("float", 0.0),
    "target_modules": Flag("names or text", None),
    "exclude_modules": Flag("names or text", None),
    "modules_to_save": Flag("names", []),
    "layers_to_transform": Flag("numbers", None),
    "layers_pattern": Flag("names or text", None),
    "rank_pattern": Flag("factors", {}),
    "alpha_pattern": Flag("factors", {}),
    "target_parameters": Flag("names", []),
    "use_dora": Flag("bool", False),
    "use_rslora": Flag("bool", False),
    "bias": Flag("text", "none"),
    "ensure_weight_tying": Flag("bool", False),
    "learning_rate": Flag("float", 2e-4),
    "weight_decay": Flag("float", 0.0),
}


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What ``get_peft_model`` adapts and trains with this config.

    Args:
        given: Fields of ``LoraConfig``, as in ``adapter_config.json``; ``learning_rate`` beside them, since PEFT has none.
        tree: The model.

    Raises:
        NotExpressible: An adapter of another kind than LoRA.
        TrainerRefuses: PEFT itself stops, and why.
        BadConfig: A field or value that it does not have.
    """
    kind = str(given.get("peft_type") or "LORA").upper().rpartition(".")[2]
    if kind != "LORA":
        raise NotExpressible(
            "This adapter is not LoRA.",
            expected="peft_type LORA",
            found=kind,
            remedy="A strategy knows frozen, full and LoRA; train the adapter with PEFT itself.",
        )
    flags = read_flags(given, FLAGS, NAME)
    targets = flags["target_modules"] or None
    if targets is None and not flags["target_parameters"]:
        targets = peft_lora.default_targets(tree.model_type)
    found = peft_rule.select(
        tree,
        targets,
        Lora(
            flags["r"],
            flags["lora_alpha"],
            flags["lora_dropout"],
            use_dora=flags["use_dora"],
            use_rslora=flags["use_rslora"],
        ),
        modules_to_save=flags["modules_to_save"],
        exclude=flags["exclude_modules"],
        layers=flags["layers_to_transform"],
        layers_pattern=flags["layers_pattern"],
        rank_pattern=flags["rank_pattern"],
        alpha_pattern=flags["alpha_pattern"],
        target_parameters=flags["target_parameters"],
        bias=flags["bias"] or "none",
    )
    return replace(found.at_rate(flags["learning_rate"]), tied_copies=bool(flags["ensure_weight_tying"]))
