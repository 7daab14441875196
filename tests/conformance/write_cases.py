"""Writes random strategies as the trainers' settings, each beside a tiny model's config and what it should train.

``python -m tests.conformance.write_cases FOLDER [number]``: for each trainer that many strategies which it can say exactly. The
trainers' own code reads them in ``run_*.py``; ``compare`` holds both together.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import VlmFreezeError
from vlmfreeze_widgets.core.strategy.plan import Plan
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers.decay_rule import by_names_and_classes
from vlmfreeze_widgets.trainers.selection import selection_of

# Tiny model -> what ms-swift calls it; several of its model types share one class.
MODELS = {
    "llava": "llava1_5_hf", "llava_onevision": "llava_onevision_hf", "llava_onevision--tied": "llava_onevision_hf",
    "qwen2_vl": "qwen2_vl", "qwen2_vl--tied": "qwen2_vl", "qwen2_5_vl": "qwen2_5_vl", "qwen2_5_vl--tied": "qwen2_5_vl",
    "gemma3": "gemma3_vision", "internvl": "internvl", "mllama": "llama3_2_vision",
}  # fmt: skip
NEEDED: dict[str, dict[str, Any]] = {
    "llamafactory": {"dataset": "demo", "template": "empty", "output_dir": "out", "report_to": "none"},
    "ms-swift": {"dataset": ["demo.jsonl"], "output_dir": "out", "template": "dummy", "report_to": "none"},
}
PARTS = ("vision_tower", "projector", "language_model", "embeddings", "head")
PLACES = ("language_model[-1:]", "language_model[:1]", "*.q_proj", "re:.*mlp.*")


def random_plan(draw: random.Random, tree: ModuleTree) -> Plan:
    """Some parts trained in full, some with one LoRA, and now and then a place inside a part or a rate per part."""
    if draw.random() < 0.2:
        lora = vf.Lora(rank=draw.choice((4, 8, 16)), alpha=draw.choice((8, 16, 32)), use_dora=True)
    else:
        lora = vf.Lora(
            rank=draw.choice((4, 8, 64)), alpha=draw.choice((8, 16, 128)), dropout=draw.choice((0.0, 0.0, 0.05)),
            use_rslora=draw.random() < 0.15, targets=draw.choice(("all-linear", "all-linear", ("q_proj", "v_proj"))),
        )  # fmt: skip
    choices = ["frozen", "full"] if draw.random() < 0.4 else ["frozen", "full", lora, lora]
    rules: dict[str, Any] = {part: draw.choice(choices) for part in PARTS if part in tree.components}
    if draw.random() < 0.25:
        rules[draw.choice(PLACES)] = draw.choice(choices)
    lr = {"": draw.choice((1e-4, 2e-5, 1e-5))}
    if draw.random() < 0.3:
        lr[draw.choice(("projector", "vision_tower"))] = draw.choice((1e-3, 2e-6))
    # Both trainers spare biases and norms by transformers' rule: no other decays can be said.
    spared = [p.name for p in tree.parameters if by_names_and_classes(p.name, tree)]
    decay = {"": draw.choice((0.0, 0.01, 0.1)), **dict.fromkeys(spared, 0.0)}
    plan = vf.resolve(vf.Strategy(rules, lr, decay), tree)
    plan.check()
    return plan


def wanted(plan: Plan) -> dict[str, Any]:
    """What the plan trains: names in full, LoRA by module, rate and weight decay of each."""
    selection = selection_of(plan)
    return {
        "full": sorted(plan.trainable),
        "lora": {
            path: {"rank": lora.rank, "scaling": lora.scaling, "dropout": lora.dropout, "dora": lora.use_dora}
            for path, lora in sorted(plan.lora_targets.items())
        },
        "lr": dict(sorted(selection.lr.items())),
        "decay": dict(sorted(selection.decay.items())),
    }


def write(folder: Path, number: int = 200, seed: int = 0) -> dict[str, tuple[int, int]]:
    """Writes the cases.

    Returns:
        Trainer -> (written, tried): not every strategy can be said.
    """
    draw = random.Random(seed)
    counts = {}
    for trainer, needed in NEEDED.items():
        written = tried = 0
        seen: set[str] = set()
        while written < number and tried < 40 * number:
            tried += 1
            name = draw.choice(list(MODELS))
            tree = published.tree(name)
            # A tiny config on disk is no checkpoint of its hub: the person has to name its kind.
            more = {**needed, **({"model_type": MODELS[name]} if trainer == "ms-swift" else {})}
            try:
                plan = random_plan(draw, tree)
                done = vf.export(plan, to=trainer, **more)
            except VlmFreezeError:
                continue
            ((file, text),) = done.files.items()
            if not done.exact or (name + text) in seen:
                continue
            seen.add(name + text)
            case = folder / trainer / f"{written:04d}"
            case.mkdir(parents=True)
            (case / file).write_text(text, encoding="utf-8")
            config = {"model_type": name.partition("--")[0], **published.configs()[name]}
            (case / "case.json").write_text(
                json.dumps(
                    {"model": name, "config": config, "file": file, "strategy": plan.strategy.to_dict(), **wanted(plan)}
                )
            )
            written += 1
        counts[trainer] = (written, tried)
    return counts


if __name__ == "__main__":
    asked = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    for trainer, (done, tried) in write(Path(sys.argv[1]), asked).items():
        print(f"{trainer}: {done} exact exports, of {tried} random strategies")
