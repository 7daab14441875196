"""A plan as arguments for zero_nlp's train_llava, and what of them surprises people. What they select is in ``zero_nlp``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.tree.tree import ModuleTree
from .argument_lines import argument_lines
from .export_request import ExportRequest
from .flags import read_flags
from .selection import Selection
from .zero_nlp import FLAGS, NAME


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """The three settings of zero_nlp."""
    for kind in ("none", "freeze_vision", "use_lora"):
        yield {"train_type": kind, "learning_rate": wanted.lr, "weight_decay": wanted.weight_decay}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """An argument file: one argument a line, as its run files pass them."""
    return argument_lines("zero_nlp.args", "run.py", settings, wanted, others)


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks."""
    flags = read_flags(given, FLAGS, NAME)
    kind = flags["train_type"]
    by_hand = [name for name in ("freeze_vision_model", "freeze_language_model") if flags[name]]
    notes = []
    if by_hand and kind == "use_lora":
        notes.append(f"{' and '.join(by_hand)} beside use_lora: PEFT has frozen these parts already.")
    elif by_hand:
        notes.append(
            f"{' and '.join(by_hand)}: its code has no such argument; its users freeze these parts by hand to train in stages "
            "(zero_nlp#194)."
        )
    return notes + _of_kind(kind, tree, found)


def _of_kind(kind: str, tree: ModuleTree, found: Selection) -> list[str]:
    if kind == "use_lora":
        leaked = [path for path in found.lora if tree.component_of(path) == "vision_tower"]
        return [
            f"{len(leaked)} adapters lie in the vision tower, which its README calls frozen: targets are suffixes.",
            "lora_alpha is not set in its code, so that PEFT's 8 applies: the update is scaled by 0.25.",
            "The projector trains as a full copy beside the frozen original.",
        ]
    if kind == "freeze_vision":
        return ["freeze_vision needs transformers 4: from 5 on its code finds no vision_tower on the model."]
    if kind != "none":
        return [f"train_type {kind!r} is none that its code asks for: everything trains, as with 'none'."]
    return []
