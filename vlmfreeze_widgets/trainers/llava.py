"""LLaVA (haotian-liu, 1.2.2): ``tune_mm_mlp_adapter``, ``freeze_mm_mlp_adapter``, ``freeze_backbone``, ``lora_enable`` and
``mm_projector_lr``. Its vision tower never trains. Names are those of transformers' LLaVA, part for part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import peft_rule
from .decay_rule import by_older_classes, with_decay
from .flags import Flag, read_flags
from .name_matching import chosen, is_linear_by_class, modules, parameter_names
from .part_names import check_model_type
from .selection import Selection

NAME = "LLaVA"
MODEL_TYPES = ("llava", "llava_next", "llava_llama", "llava_mistral")
FLAGS: Mapping[str, Flag] = {
    "freeze_backbone": Flag("bool", False),
    "tune_mm_mlp_adapter": Flag("bool", False),
    "freeze_mm_mlp_adapter": Flag("bool", False),
    "mm_projector_lr": Flag("float", None),
    "lora_enable": Flag("bool", False),
    "lora_r": Flag("int", 64),
    "lora_alpha": Flag("int", 16),
    "lora_dropout": Flag("float", 0.05),
    "lora_bias": Flag("text", "none"),
    "mm_use_im_start_end": Flag("bool", False),
    "unfreeze_mm_vision_tower": Flag("bool", False),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
}
"""``unfreeze_mm_vision_tower`` is read from the checkpoint's config: with it the tower is there when LoRA looks for layers."""


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What LLaVA's train.py trains with these arguments, in its own order: LoRA, then the vision modules, then the switches.

    Args:
        given: Arguments as its scripts write them, and ``unfreeze_mm_vision_tower`` of the checkpoint.
        tree: A model of LLaVA's make: tower, projector, language model, head.

    Raises:
        TrainerRefuses: The model is not of that make.
        BadConfig: An argument that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    parts = {name: _names(tree, name) for name in ("vision_tower", "projector", "language_model", "embeddings", "head")}
    check_model_type(tree, MODEL_TYPES, NAME, "a LLaVA of CLIP and LLaMA")
    outside = chosen(parameter_names(tree), lambda name: not any(name in names for names in parts.values()))
    backbone = parts["language_model"] | parts["embeddings"]
    adapters: Mapping[str, Lora] = {}
    if flags["lora_enable"]:
        placed = _lora(flags, tree)
        adapters = placed.lora
        full = placed.trainable | parts["projector"]
    else:
        full = parts["projector"] | parts["head"] | outside | (frozenset() if flags["freeze_backbone"] else backbone)
    if flags["tune_mm_mlp_adapter"]:
        # The whole model is switched off, adapters with it, and the projector on again.
        adapters, full = {}, parts["projector"] | (parts["embeddings"] if flags["mm_use_im_start_end"] else frozenset())
    if flags["freeze_mm_mlp_adapter"]:
        full -= parts["projector"]
    found = Selection(frozenset(full), adapters).at_rate(flags["learning_rate"])
    found = with_decay(found, tree, flags["weight_decay"], by_older_classes)
    if flags["mm_projector_lr"] is None:
        return found
    inside = tree.components.get("projector", ())
    of_projector = {name for name in found.lr if any(name.startswith(f"{path}.") for path in inside)}
    return replace(found, lr={n: flags["mm_projector_lr"] if n in of_projector else lr for n, lr in found.lr.items()})


def _names(tree: ModuleTree, component: str) -> frozenset[str]:
    return frozenset(p.owner for p in tree.parameters_of.get(component, ()))


def _lora(flags: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """Last names of linear layers outside projector and tower, found before there is a tower, then matched as suffixes."""
    present = [n for n in modules(tree) if tree.component_of(n.path) not in ("projector", "vision_tower")]
    names = {n.name for n in present if is_linear_by_class(n)} - {"lm_head"}
    lora = Lora(flags["lora_r"], flags["lora_alpha"], flags["lora_dropout"])
    # The PEFT of its time looks for "lora_only" biases where its own wrapper no longer keeps them, and finds none.
    bias = "all" if flags["lora_bias"] == "all" else "none"
    found = peft_rule.select(tree, sorted(names), lora, bias=bias)
    there = {"projector", *(() if flags["unfreeze_mm_vision_tower"] else ("vision_tower",))}
    kept = {path: lora for path, lora in found.lora.items() if tree.component_of(path) not in there}
    biases = {n for n in found.trainable if tree.component_of(n) not in there}
    return Selection(frozenset(biases), kept)
