"""What the page is shown of a plan: the trait ``plan_state`` as tests/wire/README.md fixes it. Plain data and bytes; who sends it
is in ``widgets``, the tree is in ``core.wire.tree_state``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..cost.assumptions import OPTIMIZERS
from ..cost.static_memory import standing_cost
from ..language.format import count
from ..language.phrase import say
from ..strategy.plan import Plan
from ..strategy.text import ComponentRow, component_rows, sentence
from ..tree.components import LABELS
from .cost_state import PART_LABELS
from .messages import VERSION, number

TUNING_CODES = {"frozen": 0, "lora": 1, "full": 2, "mixed": 3, "none": 4}
# What lies at or below a node. Adaptable: some leaf could carry LoRA and does not.
_FROZEN, _LORA, _FULL, _MIXED, _ADAPTABLE = 1, 2, 4, 8, 16
_BIT_OF = (_FROZEN, _LORA, _FULL, _MIXED, 0)
_CODE_OF = {bit: code for code, bit in enumerate(_BIT_OF)}
_PATHS_SHOWN = 8  # of one warning
# What an estimate assumes where nobody chose anything.
_PLANNED = {"precision": "auto", "optimizer": "adamw", "accumulation": 1, "checkpointing": False, "device": "cuda"}


def plan_state(
    plan: Plan, rev: int, *, can_undo: bool, can_redo: bool, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The trait ``plan_state``.

    Args:
        plan: What is shown.
        rev: Its revision.
        can_undo: Whether an edit can be undone.
        can_redo: Whether one can be redone.
        settings: In force, as an estimate keeps them ("optimizer", "precision", "device"); what is absent is as for a model
            that is only planned: AdamW on a GPU.
    """
    rows = component_rows(plan)
    return {
        "v": VERSION,
        "rev": rev,
        "sentence": sentence(plan, rows),
        "strategy_name": plan.strategy.name,
        "trainable_params": plan.trainable_params,
        "total_params": plan.total_params,
        "frozen_params": plan.frozen_params,
        "adapter_params": plan.adapter_params,
        "tuning": bytes(node_tunings(plan)),
        "components": [_row(row) for row in rows],
        "counts": {
            "frozen": plan.frozen_params,
            "full": plan.full_params,
            "lora": plan.adapter_params,
            "lora_modules": len(plan.lora_targets),
        },
        "warnings": [
            {
                "code": w.code,
                "severity": w.severity,
                "message": w.message,
                "remedy": w.remedy,
                "paths": list(w.paths[:_PATHS_SHOWN]),
                "count": len(w.paths),
            }
            for w in plan.warnings
        ],
        "cost": _cost(plan, settings or {}),
        "rules": [
            {"target": target, "tuning": tuning.kind, "text": str(tuning)}
            for target, tuning in plan.strategy.rules.items()
        ],
        "can_undo": can_undo,
        "can_redo": can_redo,
    }


def node_tunings(plan: Plan) -> list[int]:
    """One code per node: how everything at or below it trains. The page predicts the same (js/src/model/preview.ts)."""
    tree, targets, trainable = plan.tree, plan.lora_targets, plan.trainable
    heads = frozenset(tree.head_paths)
    codes = [TUNING_CODES["none"]] * len(tree.nodes)
    seen = [0] * len(tree.nodes)
    # Children come after their parents, so from the end each node has heard of all below it.
    for i in range(len(codes) - 1, -1, -1):
        node, bits = tree.nodes[i], seen[i]
        if not (node.children and node.kind == "module"):
            for p in node.parameters:
                lora = p.name in targets or p.name.rpartition(".")[0] in targets
                bits |= _FULL if p.owner in trainable else _LORA if lora else _FROZEN
        if node.path in targets:
            # The bias beside an adapter stays frozen; the module is a LoRA module all the same.
            bits = _LORA | (bits & (_FULL | _ADAPTABLE))
        elif bits & _LORA and node.children and not bits & _ADAPTABLE:
            # Norms among LoRA layers carry no adapter: a block of LoRA layers still reads as LoRA.
            bits &= ~_FROZEN
        codes[i] = code = _CODE_OF.get(bits & ~_ADAPTABLE, TUNING_CODES["mixed"])
        if not node.children and node.adaptable and node.path not in targets and node.path not in heads:
            bits |= _ADAPTABLE
        if i:
            seen[tree.parents[i]] |= _BIT_OF[code] | (bits & _ADAPTABLE)
    return codes


def _row(row: ComponentRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "label": LABELS.get(row.name, row.name),
        "tuning": row.tuning,
        "params": row.params,
        "trainable_params": row.trainable_params,
        "adapter_params": row.adapter_params,
        "lr": number(row.lr),
        "lr_ratio": number(row.lr_ratio),
        "rank": row.rank,
        "alpha": row.alpha,
        "rslora": row.use_rslora,
        "targets": row.targets,
        "adaptable": row.adaptable,
        "blocks": {"count": row.blocks, "last": row.blocks_trained, "are_last": row.are_last} if row.blocks else None,
        "detail": row.detail,
    }


def _cost(plan: Plan, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Memory that is known from the plan and the settings alone; activations are measured or estimated elsewhere."""
    known = standing_cost(plan, {**_PLANNED, "dtype": plan.tree.dtype, **settings}, None, 1, ())
    optimizer = str(known.settings["optimizer"])
    return {
        "title": say("Memory before activations"),
        "parts": [
            {"name": name, "label": PART_LABELS[name], "bytes": size} for name, size in known.parts.items() if size
        ],
        "total_bytes": known.peak_bytes,
        "limit_bytes": None,
        "note": say(
            "{optimizer} on {count} parameters; activations come on top",
            optimizer=OPTIMIZERS.get(optimizer, optimizer), count=count(known.trainable_params),
        ),
    }  # fmt: skip
