"""A plan as arguments for LLaVA's train.py, and what of them surprises people. What they select is in ``llava``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from ..core.tree import ModuleTree
from .argument_lines import argument_lines
from .asked import Asked
from .flags import read_flags
from .llava import FLAGS, NAME
from .selection import Selection


def candidates(wanted: Asked) -> Iterator[dict[str, Any]]:
    """Arguments of LLaVA that might do what a plan asks, the plainest first."""
    projector = [n for n in wanted.selection.lr if wanted.tree.component_of(n) == "projector"]
    own = wanted.rate_of(projector)
    usual = wanted.rate_of(set(wanted.selection.lr) - set(projector))
    usual = wanted.lr if usual is None else usual
    rates: dict[str, Any] = {"learning_rate": usual, "weight_decay": wanted.weight_decay}
    rates |= {"mm_projector_lr": own} if own is not None and own != usual else {}
    switched = ("tune_mm_mlp_adapter", "freeze_mm_mlp_adapter", "freeze_backbone")
    for values in sorted(product((False, True), repeat=3), key=sum):
        setting = {name: True for name, value in zip(switched, values, strict=True) if value}
        if wanted.lora is None:
            yield {**setting, **rates}
        else:
            lora = wanted.lora
            adapters = {"lora_r": lora.rank, "lora_alpha": round(lora.alpha), "lora_dropout": float(lora.dropout)}
            yield {"lora_enable": True, **adapters, **setting, **rates}


def files(settings: Mapping[str, Any], wanted: Asked, others: Mapping[str, Any]) -> dict[str, str]:
    """An argument file: one argument a line, as its scripts pass them."""
    return argument_lines("llava.args", "train_mem.py", settings, wanted, others)


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks, with the thread that tells of it."""
    flags = read_flags(given, FLAGS, NAME)
    notes = []
    in_tower = [path for path in found.lora if tree.component_of(path) == "vision_tower"]
    if in_tower:
        notes.append(
            f"{len(in_tower)} adapters lie in the vision tower and never get a gradient: its forward is under no_grad "
            "(LLaVA#1380, #1647)."
        )
    if flags["mm_projector_lr"] is None and flags["lora_enable"] and not flags["freeze_mm_mlp_adapter"]:
        notes.append("Without mm_projector_lr the projector trains all the same, at learning_rate (LLaVA#832, #948).")
    if flags["tune_mm_mlp_adapter"] and flags["lora_enable"]:
        notes.append("tune_mm_mlp_adapter switches the adapters off again: only the projector trains.")
    if flags["tune_mm_mlp_adapter"] and flags["freeze_mm_mlp_adapter"]:
        notes.append("tune_mm_mlp_adapter and freeze_mm_mlp_adapter together: nothing trains.")
    if flags["freeze_backbone"] and not flags["tune_mm_mlp_adapter"] and not flags["lora_enable"]:
        notes.append(
            "freeze_backbone leaves the head training; its author calls it a switch for debugging (LLaVA#723)."
        )
    if flags["lora_enable"] and found.trainable:
        notes.append(
            "Checkpoints before the end hold the adapter alone, without the projector (LLaVA#844, #1200, #1566)."
        )
    return notes
