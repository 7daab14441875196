"""TRL's own flags (``ModelConfig``: ``--use_peft``, ``--lora_r``, ``--lora_target_modules``, ``--lora_modules_to_save`` ...), as
``trl sft`` and its example scripts for SFT take them.

Source: ``trl/trainer/model_config.py`` and ``get_peft_config`` in ``trl/trainer/utils.py`` of TRL 1.16.0, run with PEFT on tiny
models (``tests/trainers/published/trl.jsonl.gz``). Without ``use_peft`` everything trains: TRL has no switch that freezes. How a
plan is written as its YAML is in ``trl_export``; the script for any plan is in ``hf_trainer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..adapters import peft_lora
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import hf_trainer, peft_rule
from .decay_rule import with_decay
from .flags import Flag, read_flags
from .name_matching import parameter_names
from .selection import Selection

NAME = "TRL sft"
FLAGS: Mapping[str, Flag] = {
    "use_peft": Flag("bool", False),
    "lora_r": Flag("int", 16),
    "lora_alpha": Flag("int", 32),
    "lora_dropout": Flag("float", 0.05),
    "lora_target_modules": Flag("names or text", None),
    "lora_target_parameters": Flag("names", []),
    "lora_modules_to_save": Flag("names", []),
    "use_rslora": Flag("bool", False),
    "use_dora": Flag("bool", False),
    "learning_rate": Flag("float", 2e-5),
    "weight_decay": Flag("float", 0.0),
}
SCRIPT_FLAGS: Mapping[str, Flag] = {**FLAGS, **hf_trainer.FLAGS}
"""Of both forms: these flags, and the ``plan.json`` of the exported script."""
_OF_THE_SCRIPT = ("full", "lora", "rates")


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What ``trl sft`` trains with these flags.

    Args:
        given: Fields of its ``ModelConfig``, and ``learning_rate`` of its ``SFTConfig``.
        tree: The model.

    Raises:
        TrainerRefuses: PEFT stops, and why.
        BadConfig: A flag that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    if not flags["use_peft"]:
        found = Selection(frozenset(parameter_names(tree))).at_rate(flags["learning_rate"])
        return with_decay(found, tree, flags["weight_decay"])
    targets = flags["lora_target_modules"]
    if isinstance(targets, list) and len(targets) == 1:
        # One word becomes a text, which PEFT reads as a pattern of whole paths, or as "all-linear".
        targets = targets[0]
    if not targets and not flags["lora_target_parameters"]:
        targets = peft_lora.default_targets(tree.model_type)
    lora = Lora(
        flags["lora_r"],
        flags["lora_alpha"],
        flags["lora_dropout"],
        use_dora=flags["use_dora"],
        use_rslora=flags["use_rslora"],
    )
    found = peft_rule.select(
        tree,
        targets or None,
        lora,
        modules_to_save=flags["lora_modules_to_save"],
        target_parameters=flags["lora_target_parameters"],
    )
    return with_decay(found.at_rate(flags["learning_rate"]), tree, flags["weight_decay"])


def simulate_either(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """The same, or, for the ``plan.json`` of the exported script, what that script trains."""
    if any(name in given for name in _OF_THE_SCRIPT):
        return hf_trainer.simulate({k: v for k, v in given.items() if k not in FLAGS or k in hf_trainer.FLAGS}, tree)
    return simulate(given, tree)
