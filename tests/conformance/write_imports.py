"""Writes random flags of the trainers, each beside a tiny model's config and what our rule says they train.

``python -m tests.conformance.write_imports FOLDER [number] [seed]``: for each trainer that many, over all architectures of
``tiny_models``. The trainers' own code reads them in ``run_*.py``; ``compare_imports`` holds both together.
"""

from __future__ import annotations

import json
import random
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import vlmfreeze_widgets as vf
from tests.conformance.random_flags import DRAWN, Flags
from tests.conformance.tiny_models import MODEL_TYPES, tiny_config
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers.registry import TRAINERS
from vlmfreeze_widgets.trainers.selection import decay_differences, differences, import_note, selection_of
from vlmfreeze_widgets.trainers.yaml_lines import yaml_lines

NEEDED: dict[str, Flags] = {
    "llamafactory": {
        "model_name_or_path": "model", "stage": "sft", "do_train": True, "dataset": "demo", "template": "empty",
        "output_dir": "out", "report_to": "none",
    },
    "ms-swift": {"dataset": ["demo.jsonl"], "output_dir": "out", "template": "dummy", "report_to": "none"},
}  # fmt: skip


@cache
def drawn_tree(model_type: str) -> ModuleTree:
    """The tree of the tiny model."""
    return vf.read_tree(tiny_config(model_type), title=model_type)


def said(trainer: str, flags: Flags, tree: ModuleTree) -> dict[str, Any]:
    """What our rule says that these flags train, or why they are refused; and what an import loses of it without a word."""
    try:
        found = TRAINERS[trainer].simulate(flags, tree)
    except TrainerRefuses as error:
        return {"refused": str(error).splitlines()[0]}
    lost: list[str] = []
    if found.names:
        imported = vf.import_strategy(flags, tree, trainer)
        kept = selection_of(vf.resolve(imported.strategy, tree))
        lost = differences(kept, found, tree) + decay_differences(kept, found, tree)
        lost = [line for line in lost if import_note(line) not in imported.notes]
    return {
        "full": sorted(found.trainable),
        "lora": {
            path: {"rank": lora.rank, "scaling": lora.scaling, "dropout": lora.dropout, "dora": lora.use_dora}
            for path, lora in sorted(found.lora.items())
        },
        "lr": dict(sorted(found.lr.items())),
        "decay": dict(sorted(found.decay.items())),
        "lost": lost,
    }


def write(folder: Path, number: int, seed: int) -> None:
    """Writes the cases of all trainers."""
    draw = random.Random(seed)
    for trainer, draw_flags in DRAWN.items():
        for index in range(number):
            model_type = MODEL_TYPES[index % len(MODEL_TYPES)]
            tree = drawn_tree(model_type)
            flags = draw_flags(draw, tree)
            if trainer == "peft":
                flags["peft_version"] = version("peft")  # as PEFT writes it into its settings: releases differ
            case = folder / trainer / f"{index:04d}"
            case.mkdir(parents=True)
            if trainer in NEEDED:
                (case / "settings.yaml").write_text(yaml_lines({**NEEDED[trainer], **flags}), encoding="utf-8")
            owners = {p.name: p.owner for p in tree.parameters if p.is_alias}
            given = {"model": model_type, "config": tiny_config(model_type), "file": "settings.yaml", "flags": flags}
            (case / "case.json").write_text(json.dumps({**given, "owners": owners, **said(trainer, flags, tree)}))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[2:]]
    write(Path(sys.argv[1]), *numbers[:1] or [200], *numbers[1:] or [0])
