"""QwenLM's qwen-vl-finetune, which its users know from the Qwen3-VL repository: ``tune_mm_vision``, ``tune_mm_mlp``,
``tune_mm_llm``, ``mm_projector_lr``, ``vision_tower_lr``, ``lora_enable``.

Source: ``qwenvl/train/train_qwen.py``, ``argument.py`` and ``trainer.py`` of QwenLM/Qwen3-VL at 96588727, which asks for
transformers 4.57; its own functions were run on tiny models (``tests/trainers/published/qwenlm.jsonl.gz``). How a plan is written
as its arguments is in ``qwen_finetune_export``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import peft_rule
from .decay_rule import with_decay
from .flags import Flag, read_flags
from .name_matching import chosen, parameter_names
from .part_names import check_model_type, has_segment, with_rates
from .selection import Selection

NAME = "qwen-vl-finetune"
MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
FLAGS: Mapping[str, Flag] = {
    "tune_mm_vision": Flag("bool", False),
    "tune_mm_mlp": Flag("bool", False),
    "tune_mm_llm": Flag("bool", False),
    "mm_projector_lr": Flag("float", None),
    "vision_tower_lr": Flag("float", None),
    "lora_enable": Flag("bool", False),
    "lora_r": Flag("int", 64),
    "lora_alpha": Flag("int", 128),
    "lora_dropout": Flag("float", 0.0),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
}
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")
LEAST_DROPOUT = 0.05
"""Its code writes ``lora_dropout or 0.05``: 0 is not to be had. Rank and alpha of 0 are 64 and 128 in the same way."""
_VISUAL, _MERGER = "visual", "merger"


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What train_qwen.py trains with these arguments.

    Args:
        given: Arguments as its scripts write them.
        tree: A Qwen2-VL, Qwen2.5-VL or Qwen3-VL.

    Raises:
        TrainerRefuses: The model is not of that make.
        BadConfig: An argument that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    check_model_type(tree, MODEL_TYPES, NAME, "a Qwen-VL")
    if flags["lora_enable"]:
        lora = Lora(flags["lora_r"] or 64, flags["lora_alpha"] or 128, flags["lora_dropout"] or LEAST_DROPOUT)
        found = peft_rule.select(tree, LORA_TARGETS, lora)
    else:
        found = Selection(chosen(parameter_names(tree), lambda name: _trains(name, flags)))
    found = with_rates(found, flags["learning_rate"], lambda name: _rate(name, flags))
    return with_decay(found, tree, flags["weight_decay"])


def _trains(name: str, flags: Mapping[str, Any]) -> bool:
    parts = name.split(".")
    if _VISUAL in parts:
        # The mergers of deepstack features lie beside this one and follow the tower's switch.
        return bool(flags["tune_mm_mlp"] if _MERGER in parts else flags["tune_mm_vision"])
    if "language_model" in parts:
        return bool(flags["tune_mm_llm"])
    # It sets requires_grad of the module lm_head, which is an attribute that nothing reads: the head trains whatever it says.
    return True


def _rate(name: str, flags: Mapping[str, Any]) -> float | None:
    """The groups of its optimizer: both rates are looked at only where mm_projector_lr is there and not 0."""
    if not flags["mm_projector_lr"]:
        return None
    if _MERGER in name:
        return float(flags["mm_projector_lr"])
    return float(flags["vision_tower_lr"]) if flags["vision_tower_lr"] and has_segment(name, (_VISUAL,)) else None
