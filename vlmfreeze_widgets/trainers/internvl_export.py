"""A plan as arguments of InternVL's own trainer, and what of them surprises people. What they select is in ``internvl``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.tree.tree import ModuleTree
from .argument_lines import argument_lines
from .export_request import ExportRequest, switches
from .flags import read_flags
from .internvl import FLAGS, NAME
from .selection import Selection

_SWITCHES = ("freeze_llm", "freeze_backbone", "freeze_mlp")


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Arguments that might do what a plan asks, the plainest first."""
    rates = {"learning_rate": wanted.lr, "weight_decay": wanted.weight_decay}
    adapters = {f"use_{name}_lora": rank for name, rank in _ranks(wanted).items()}
    blocks = _last_blocks(wanted)
    for setting in switches(*_SWITCHES, defaults=dict.fromkeys(_SWITCHES, False)):
        yield {**setting, **adapters, **rates}
        if blocks:
            yield {**setting, **adapters, "unfreeze_vit_layers": -blocks, **rates}


def _ranks(wanted: ExportRequest) -> dict[str, int]:
    """Part -> the rank of its adapters; a plan with several ranks in one part gets one of them."""
    found: dict[str, int] = {}
    for path, lora in wanted.selection.lora.items():
        found.setdefault("backbone" if wanted.tree.component_of(path) == "vision_tower" else "llm", lora.rank)
    return found


def _last_blocks(wanted: ExportRequest) -> int:
    blocks = wanted.tree.blocks("vision_tower")
    found = 0
    for block in reversed(blocks.children if blocks else ()):
        if not {p.owner for p in wanted.tree.below(block.path)} <= wanted.selection.trainable:
            break
        found += 1
    return found


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """An argument file: one argument a line, as its scripts pass them."""
    return argument_lines("internvl.args", "internvl/train/internvl_chat_finetune.py", settings, wanted, others)


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks."""
    flags = read_flags(given, FLAGS, NAME)
    notes = []
    if any(path.endswith("vision_tower") for path in tree.components.get("vision_tower", ())):
        notes.append(
            "InternVL's trainer loads its own checkpoints, without -hf in their names, where parts are called otherwise."
        )
    if flags["unfreeze_lm_head"]:
        notes.append("unfreeze_lm_head does nothing: its code sets requires_grad of the module, which nothing reads.")
    for flag, frozen, component in (
        ("use_llm_lora", "freeze_llm", "language_model"),
        ("use_backbone_lora", "freeze_backbone", "vision_tower"),
    ):
        if flags[flag] and not flags[frozen]:
            notes.append(f"{flag} freezes the {component.replace('_', ' ')} whatever {frozen} says.")
    if flags["unfreeze_vit_layers"] > 0:
        notes.append(
            f"unfreeze_vit_layers {flags['unfreeze_vit_layers']} opens the blocks from that index on; the last ones are -4."
        )
    both = [path for path in found.lora if any(p.owner in found.trainable for p in tree.by_path[path].parameters)]
    if both:
        notes.append(
            f"{len(both)} layers train in full and carry an adapter as well ({both[0]}): a strategy has one of both."
        )
    return notes
