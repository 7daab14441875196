"""A plan as arguments of 2U1's Qwen-VL-Series-Finetune, and what of them surprises people. What they select is in
``qwen_series``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from ..core.tree.tree import ModuleTree
from .argument_lines import argument_lines
from .dataset_files import for_llava
from .export_request import ExportRequest, switches
from .flags import read_flags
from .name_matching import contains_any, modules
from .qwen_series import FLAGS, NAME
from .selection import Selection

TAKES_DATA = True
_SWITCHES = ("freeze_vision_tower", "freeze_llm", "freeze_merger")
_OPEN = dict.fromkeys(_SWITCHES, False)


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Arguments that might do what a plan asks, the plainest first."""
    rates = _rates(wanted)
    lora = wanted.lora
    if lora is None:
        for setting in switches(*_SWITCHES, defaults=_OPEN):
            yield {**setting, **rates}
        for setting, (llm, vision) in product(switches(*_SWITCHES, defaults=_OPEN), _last_blocks(wanted)):
            yield {**setting, "unfreeze_topk_llm": llm, "unfreeze_topk_vision": vision, **rates}
        return
    values = {"lora_rank": lora.rank, "lora_alpha": round(lora.alpha), "lora_dropout": float(lora.dropout)}
    in_visual = any("visual" in path.split(".") for path in wanted.selection.lora)
    excluded = _words_outside(wanted, in_visual)
    for setting in switches(*_SWITCHES, defaults=dict.fromkeys(_SWITCHES, True)):
        if setting["freeze_llm"]:  # without it the script stops
            exclusion = {"lora_namespan_exclude": str(excluded)} if excluded else {}
            yield {"lora_enable": True, "vision_lora": in_visual, **values, **exclusion, **setting, **rates}


def _rates(wanted: ExportRequest) -> dict[str, Any]:
    names = list(wanted.selection.lr)
    merger = [name for name in names if "merger" in name]
    visual = [name for name in names if "visual" in name and "merger" not in name]
    usual = wanted.rate_of(set(names) - set(merger) - set(visual))
    usual = wanted.lr if usual is None else usual
    parts = {"vision_lr": wanted.rate_of(visual), "merger_lr": wanted.rate_of(merger)}
    own = {name: rate for name, rate in parts.items() if rate is not None and rate != usual}
    return {"learning_rate": usual, **own, "weight_decay": wanted.weight_decay}


def _last_blocks(wanted: ExportRequest) -> Iterator[tuple[int, int]]:
    """How many blocks at the end of the language model and of the tower train throughout, together and alone."""
    counts = []
    for component in ("language_model", "vision_tower"):
        blocks = wanted.tree.blocks(component)
        found = 0
        for block in reversed(blocks.children if blocks else ()):
            if not {p.owner for p in wanted.tree.below(block.path)} <= wanted.selection.trainable:
                break
            found += 1
        counts.append(found)
    for llm, vision in ((counts[0], 0), (0, counts[1]), (counts[0], counts[1])):
        if llm or vision:
            yield llm, vision


def _words_outside(wanted: ExportRequest, in_visual: bool) -> list[str]:
    """Words that are in the name of every layer without an adapter, and of none with one."""
    adapted = list(wanted.selection.lora)
    layers = [n.path for n in modules(wanted.tree) if n.adaptable in ("linear", "embedding")]
    words: list[str] = []
    for path in layers:
        if path in wanted.selection.lora or contains_any(path, words) or (not in_visual and "visual" in path):
            continue
        parts = path.split(".")
        tried = [*reversed(parts), *(".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1))]
        words.append(next((w for w in tried if not w.isdigit() and not any(w in name for name in adapted)), path))
    return words


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """An argument file: one argument a line, as its scripts pass them."""
    return argument_lines(
        "qwen_vl_series.args", "src/train/train_sft.py", settings, wanted, for_llava(others), model_flag="model_id"
    )


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks."""
    flags = read_flags({k: str(v) if k == "lora_namespan_exclude" else v for k, v in given.items()}, FLAGS, NAME)
    notes: list[str] = []
    if not flags["lora_enable"]:
        return notes
    if flags["use_dora"]:
        notes.append("use_dora is an argument that its code does not hand to PEFT: plain LoRA trains.")
    parts = {tree.component_of(path) for path in found.lora} & {"head", "embeddings"}
    if parts:
        notes.append(
            f"Adapters on {' and '.join(sorted(parts))} too: linear layers and embeddings are taken unless "
            "lora_namespan_exclude names them."
        )
    if not flags["freeze_vision_tower"] and flags["freeze_merger"]:
        notes.append(
            "freeze_merger does nothing here: with LoRA everything named visual is opened again, the merger too."
        )
    both = [path for path in found.lora if any(p.owner in found.trainable for p in tree.by_path[path].parameters)]
    if both:
        notes.append(
            f"{len(both)} layers train in full and carry an adapter as well ({both[0]}): a strategy has one of both."
        )
    if flags["unfreeze_topk_llm"] or flags["unfreeze_topk_vision"]:
        notes.append("unfreeze_topk_llm and unfreeze_topk_vision: with LoRA, PEFT freezes these blocks again.")
    return notes
