"""A plan as arguments of QwenLM's qwen-vl-finetune, and what of them surprises people. What they select is in ``qwen_finetune``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.tree.tree import ModuleTree
from .argument_lines import argument_lines
from .export_request import ExportRequest, switches
from .flags import read_flags
from .qwen_finetune import FLAGS, LEAST_DROPOUT, NAME
from .selection import Selection

_SWITCHES = ("tune_mm_vision", "tune_mm_mlp", "tune_mm_llm")


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Arguments that might do what a plan asks, the plainest first."""
    names = list(wanted.selection.lr)
    merger = [name for name in names if "merger" in name]
    visual = [name for name in names if "visual" in name.split(".") and "merger" not in name]
    usual = wanted.rate_of(set(names) - set(merger) - set(visual))
    usual = wanted.lr if usual is None else usual
    own, of_tower = wanted.rate_of(merger), wanted.rate_of(visual)
    rates: dict[str, Any] = {"learning_rate": usual, "weight_decay": wanted.weight_decay}
    if of_tower not in (None, usual):
        # Without a rate for the merger, the one for the tower is not looked at.
        rates |= {"mm_projector_lr": usual if own is None else own, "vision_tower_lr": of_tower}
    elif own not in (None, usual):
        rates["mm_projector_lr"] = own
    lora = wanted.lora
    if lora is not None:
        values = {"lora_r": lora.rank, "lora_alpha": round(lora.alpha), "lora_dropout": float(lora.dropout)}
        yield {"lora_enable": True, **values, **rates}
        return
    for setting in switches(*_SWITCHES, defaults=dict.fromkeys(_SWITCHES, False)):
        # Its scripts write all three, off or on.
        yield {**setting, **rates}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """An argument file: one argument a line, as its scripts pass them."""
    return argument_lines("qwen_vl_finetune.args", "qwenvl/train/train_qwen.py", settings, wanted, others)


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks."""
    flags = read_flags(given, FLAGS, NAME)
    notes = []
    if flags["lora_enable"]:
        ignored = [name for name in _SWITCHES if flags[name]]
        if ignored:
            notes.append(
                f"{', '.join(ignored)}: with lora_enable these are not looked at; merger and tower stay frozen."
            )
        if not flags["lora_dropout"]:
            notes.append(f"lora_dropout 0 becomes {LEAST_DROPOUT:g} in its code.")
    else:
        head = [name for name in found.trainable if tree.component_of(name) == "head"]
        if head and not flags["tune_mm_llm"]:
            notes.append(
                "lm_head trains although tune_mm_llm is off: its code sets requires_grad of the module, which nothing reads."
            )
        if any("deepstack" in p.name for p in tree.parameters) and flags["tune_mm_mlp"] != flags["tune_mm_vision"]:
            notes.append("tune_mm_mlp means visual.merger alone; the deepstack mergers follow tune_mm_vision.")
    if flags["vision_tower_lr"] and not flags["mm_projector_lr"]:
        notes.append("vision_tower_lr is looked at only beside mm_projector_lr; alone it does nothing.")
    return notes
