"""What the page is shown of a tree and a plan: the traits ``tree_state`` and ``plan_state`` as tests/wire/README.md
fixes them. Plain data and bytes; who sends it is in ``widgets``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from .components import COMPONENTS, LABELS
from .cost_settings import OPTIMIZERS
from .cost_standing import standing_cost
from .cost_state import PART_LABELS
from .folding import tree_folds
from .language.phrase import say
from .plan import Plan
from .plan_text import ComponentRow, component_rows, sentence
from .protocol import VERSION, number
from .slices import ranges
from .tree import ModuleTree, Node
from .tree_facts import node_fact, tree_facts
from .wording import count

TUNING_CODES = {"frozen": 0, "lora": 1, "full": 2, "mixed": 3, "none": 4}
# What lies at or below a node. Adaptable: some leaf could carry LoRA and does not.
_FROZEN, _LORA, _FULL, _MIXED, _ADAPTABLE = 1, 2, 4, 8, 16
_BIT_OF = (_FROZEN, _LORA, _FULL, _MIXED, 0)
_CODE_OF = {bit: code for code, bit in enumerate(_BIT_OF)}
_PATHS_SHOWN = 8  # of one warning
# What an estimate assumes where nobody chose anything.
_PLANNED = {"precision": "auto", "optimizer": "adamw", "accumulation": 1, "checkpointing": False, "device": "cuda"}


def tree_state(tree: ModuleTree) -> dict[str, Any]:
    """The trait ``tree_state``."""
    nodes = tree.nodes
    index = {node.path: i for i, node in enumerate(nodes)}
    parents = tree.parents
    classes: dict[str, int] = {}
    names: dict[str, int] = {}
    sorts: dict[tuple[int, ...], int] = {}
    shown = [name for name in COMPONENTS if name in tree.components]
    component_index = {name: i for i, name in enumerate(shown)}
    name_column: list[int] = []
    sort_column: list[int] = []
    for i, node in enumerate(nodes):
        sort = (
            classes.setdefault(node.class_name, len(classes)),
            node.own_params,
            node.own_bytes,
            component_index.get(node.component or "", -1),
            int(node.kind == "parameter"),
            int(bool(node.adaptable)),
        )
        sort_column.append(sorts.setdefault(sort, len(sorts)))
        segment = _segment(node, nodes[parents[i]] if i else None)
        name_column.append(names.setdefault(segment, len(names)))
    return {
        "v": VERSION,
        "title": tree.title,
        "dtype": tree.dtype,
        "device": tree.device,
        "total_params": tree.total_params,
        "facts": tree_facts(tree),
        "is_guess": tree.is_guess,
        "notes": [[i, fact] for i, node in enumerate(nodes) if (fact := node_fact(node))],
        "names": list(names),
        "classes": list(classes),
        "components": [_component(tree, name, index) for name in shown],
        "tied": _tied(tree, index),
        "folds": [
            [index[fold.holder], *(number for part in ranges(fold.positions) for number in part)]
            for fold in tree_folds(tree)
        ],
        "sorts": [list(sort) for sort in sorts],
        "parent": _pack("i", parents),
        "name": _pack("I", name_column),
        "sort": _pack("I", sort_column),
    }


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
    """One code per node: how everything at or below it trains. The page foresees the same (js/src/model/preview.ts)."""
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


def _component(tree: ModuleTree, name: str, index: dict[str, int]) -> dict[str, Any]:
    blocks = tree.blocks(name)
    return {
        "name": name,
        "label": LABELS.get(name, name),
        "nodes": [index[path] for path in tree.components[name] if path in index],
        "params": tree.component_params(name),
        "blocks": None if blocks is None else {"node": index[blocks.path], "count": len(blocks.children)},
    }


def _row(row: ComponentRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "label": LABELS.get(row.name, row.name),
        "tuning": row.tuning,
        "params": row.params,
        "trainable_params": row.trainable_params,
        "adapter_params": row.adapter_params,
        "lr": number(row.lr),
        "rank": row.rank,
        "alpha": row.alpha,
        "targets": row.targets,
        "blocks": {"count": row.blocks, "last": row.blocks_trained} if row.blocks else None,
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


def _tied(tree: ModuleTree, index: dict[str, int]) -> list[list[int]]:
    def place(name: str) -> int | None:
        return index.get(name, index.get(name.rpartition(".")[0]))

    pairs = [(place(alias), place(owner)) for owner, names in tree.aliases.items() for alias in names if alias != owner]
    return [[a, b] for a, b in pairs if a is not None and b is not None]


def _segment(node: Node, parent: Node | None) -> str:
    prefix = f"{parent.path}." if parent is not None and parent.path else ""
    return node.path.removeprefix(prefix)


def _pack(code: str, values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}{code}", *values)
