"""Foretold against real: what a step keeps and takes, on a CPU; and how long the catalogue's checkpoints take to estimate.

    python -m benchmarks.cost                # writes benchmarks/results/cost.json; half an hour on two cores
    python -m benchmarks.cost --parts checkpoints      # renews one part of the file
    python -m benchmarks.cost --parts midsize --go-on  # the cells that are missing

Both sides run: ``vf.estimate_cost`` on tensors without numbers, and the same step for real, measured by autograd's own hooks and by
torch's allocator (tests/engine/burst/real_step.py). No GPU was measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import platform
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText

import vlmfreeze_widgets as vf
from benchmarks.overhead import large_model
from tests.engine.burst.real_step import real_step
from tests.engine.cost.test_flops import counted
from tests.families import TINY_FAMILIES, tiny_batch
from vlmfreeze_widgets.adapters.transformers_models import build_on_meta
from vlmfreeze_widgets.engine.cost.traced_step import made_batch

RESULTS = Path(__file__).resolve().parent / "results" / "cost.json"
STRATEGIES: dict[str, dict[str, Any]] = {
    "projector": {"projector": "full"},
    "lora": {"language_model": vf.Lora(rank=4)},
    "projector + lora": {"projector": "full", "language_model": vf.Lora(rank=4)},
    "everything": {"vision_tower": "full", "projector": "full", "language_model": "full"},
    "head": {"head": "full"},
    "tower lora": {"vision_tower": vf.Lora(rank=4)},
    "dora": {"language_model": vf.Lora(rank=4, use_dora=True)},
    "last block": {"language_model[-1:]": "full"},
}
HELD_APART: dict[str, dict[str, Any]] = {
    "tower + lora": {"vision_tower": "full", "language_model": vf.Lora(rank=8)},
    "embeddings": {"embeddings": "full"},
    "first tower block": {"vision_tower[:1]": "full"},
    "first block": {"language_model[:1]": "full"},
    "rslora, dropout": {
        "language_model": vf.Lora(rank=8, dropout=0.1, use_rslora=True),
        "vision_tower": vf.Lora(rank=2),
    },
    "tower dora + projector": {"vision_tower": vf.Lora(rank=4, use_dora=True), "projector": "full"},
    "projector + head": {"projector": "full", "head": "full"},
}
"""What nobody looked at while the estimate was written, on the families that nobody looked at either."""
HELD_APART_HOW: tuple[tuple[str, bool | str, str, int], ...] = (
    ("float32", False, "adamw", 16),
    ("bfloat16", True, "sgd", 3),
    ("mixed", True, "adamw", 5),
    ("mixed", "reentrant", "adafactor", 16),
)
_IN_EVERY_DTYPE = ("projector", "lora", "projector + lora", "everything")
FAMILIES = ("llava", "llava_next", "gemma3", "qwen2_5_vl", "qwen3_vl", "idefics3", "mllama", "internvl")
OTHERS = tuple(f for f in TINY_FAMILIES if f not in (*FAMILIES, "plain"))
MIDSIZE = (
    "llava of 101.5 M",
    "HuggingFaceTB/SmolVLM2-256M-Video-Instruct",
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
)
COMPUTED = {
    "float32": (torch.float32, "auto"),
    "bfloat16": (torch.bfloat16, "auto"),
    "mixed": (torch.float32, "bf16-mixed"),
}
ROWS = 16
PARTS = ("tiny", "held apart", "midsize", "checkpoints")


def main() -> None:
    """Runs the parts and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="*", default=PARTS)
    parser.add_argument("--families", nargs="*", default=FAMILIES)
    parser.add_argument("--midsize", nargs="*", default=MIDSIZE)
    parser.add_argument("--go-on", action="store_true", help="keep the midsize cells that the file has")
    parser.add_argument(
        "--checkpoints", nargs="*", default=None, help="of the catalogue; one per architecture by default"
    )
    arguments = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    if "tiny" in arguments.parts:
        known["tiny"] = [c for family in arguments.families for c in _cells(family)]
    if "held apart" in arguments.parts:
        known["held apart"] = [c for family in OTHERS for c in _held_apart(family)]
    if "midsize" in arguments.parts:
        there = known.get("midsize", []) if arguments.go_on else []
        for cell in (c for name in arguments.midsize for c in _midsize_cells(name, there)):
            known["midsize"] = [c for c in known.get("midsize", ()) if _key(c) != _key(cell)] + [cell]
            _write(known)
    if "checkpoints" in arguments.parts:
        known["checkpoints"] = [_checkpoint(id_) for id_ in arguments.checkpoints or _one_per_architecture()]
    written = _write(known)
    print(json.dumps({k: v for k, v in written.items() if k.endswith(" cells")}, indent=1))
    for c in written.get("checkpoints", ()):
        print(c)


def _write(known: dict[str, Any]) -> dict[str, Any]:
    """Each midsize cell takes minutes, so the file is written after every one."""
    summaries = {f"{part} cells": _summary(known[part]) for part in PARTS[:3] if part in known}
    written = {
        "machine": f"{platform.machine()}, torch {torch.__version__}, CPU",
        **summaries,
        **{part: known[part] for part in reversed(PARTS) if part in known},
    }
    RESULTS.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return written


def _key(cell: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[k] for k in ("family", "strategy", "computed", "checkpointing"))


def _summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    errors = [abs(c["peak_foretold"] / c["peak_real"] - 1) for c in cells]
    plain = [e for e, c in zip(errors, cells, strict=True) if not c["checkpointing"]]
    return {
        "cells": len(cells),
        **{
            f"{what}_exact": sum(c[f"{what}_foretold"] == c[f"{what}_real"] for c in cells)
            for what in ("saved", "optimizer", "gradients", "flops")
        },
        "flops_counted": sum(c["flops_real"] is not None for c in cells),
        "peak_error_without_checkpointing": {"median": statistics.median(plain), "largest": max(plain)},
        "peak_error": {"median": statistics.median(errors), "largest": max(errors)},
    }


def _cells(family: str) -> list[dict[str, Any]]:
    found = []
    for strategy, rules in STRATEGIES.items():
        for computed, (dtype, precision) in COMPUTED.items():
            for checkpointing in (False, True, "reentrant"):
                if computed != "float32" and (strategy not in _IN_EVERY_DTYPE or checkpointing == "reentrant"):
                    continue
                model = TINY_FAMILIES[family]().to(dtype)
                if refused(model, rules):
                    continue
                batch = _batch(family, ROWS, dtype)
                found.append(_cell(family, model, batch, strategy, computed, precision, checkpointing))
    return found


def _held_apart(family: str) -> list[dict[str, Any]]:
    found = []
    for strategy, rules in HELD_APART.items():
        for computed, checkpointing, optimizer, rows in HELD_APART_HOW:
            dtype, precision = COMPUTED[computed]
            model = TINY_FAMILIES[family]().to(dtype)
            if not refused(model, rules):
                batch = _batch(family, rows, dtype)
                found.append(_cell(family, model, batch, strategy, computed, precision, checkpointing, optimizer))
    return found


def _batch(family: str, rows: int, dtype: torch.dtype) -> dict[str, Any]:
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in tiny_batch(family, batch=rows).items()}


def refused(model: Any, rules: dict[str, Any]) -> bool:
    """Whether this model has no such part."""
    return bool(vf.resolve(vf.Strategy(rules), vf.read_tree(model)).refusals)


def _midsize_cells(name: str, there: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    done = {_key(c) for c in there}
    for strategy in STRATEGIES:
        for checkpointing in (False, True):
            if (name, strategy, "float32", checkpointing) in done:
                continue
            model, batch = midsize(name)
            cell = _cell(name, model, batch, strategy, "float32", "auto", checkpointing)
            print(cell, flush=True)
            yield cell
            del model
            gc.collect()


def midsize(name: str) -> tuple[Any, dict[str, Any]]:
    """A model with random weights and a small batch: what is compared depends on neither."""
    torch.manual_seed(0)
    if name == MIDSIZE[0]:
        model, _ = large_model()
        return model, made_batch(model, 1, None, 16)
    config = build_on_meta(name).model.config
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    return model, made_batch(model, 1, 128, 16)


def _cell(
    name: str,
    model: Any,
    batch: dict[str, Any],
    strategy: str,
    computed: str,
    precision: str,
    checkpointing: bool | str,
    optimizer: str = "adamw",
) -> dict[str, Any]:
    plan = vf.resolve(vf.Strategy({**STRATEGIES, **HELD_APART}[strategy]), vf.read_tree(model))
    how: dict[str, Any] = {"checkpointing": checkpointing, "precision": precision, "optimizer": optimizer}
    cost = vf.estimate_cost(model, plan, batch, **how)
    real = real_step(model, plan, batch, **how)
    stands = ("weights", "adapters", "masters", "optimizer", "batch")
    passes = [m for m in cost.timeline if m.name in ("forward", "backward")]
    return {
        "family": name,
        "strategy": strategy,
        "computed": computed,
        "checkpointing": checkpointing,
        "optimizer": optimizer,
        "saved_foretold": cost.activation_bytes,
        "saved_real": sum(real.saved.values()),
        "optimizer_foretold": cost.standing.of("optimizer"),
        "optimizer_real": real.state_bytes,
        "gradients_foretold": cost.standing.of("gradients"),
        "gradients_real": real.gradient_bytes,
        "flops_foretold": cost.flops.total,
        # Under autocast the same products are counted, of copies in another dtype.
        "flops_real": counted(model, plan, batch, checkpointing) if precision == "auto" else None,
        "peak_foretold": max(sum(n for k, n in m.parts.items() if k not in stands) for m in passes),
        "peak_real": real.peak_bytes,
        "traced": not cost.is_bound,
    }


def _one_per_architecture() -> list[str]:
    """The smallest of each, and the largest that is not a mixture."""
    smallest: dict[str, Any] = {}
    for entry in vf.catalog().values():
        if entry.config and (
            entry.model_type not in smallest or entry.total_params < smallest[entry.model_type].total_params
        ):
            smallest[entry.model_type] = entry
    return [*(e.id for e in smallest.values()), "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct"]


def _checkpoint(id_: str) -> dict[str, Any]:
    rules = {"projector": "full", "language_model": vf.Lora(rank=16)}
    began, worked = time.perf_counter(), time.process_time()
    try:
        cost = vf.estimate_cost(id_, rules, dtype="bfloat16")
    except vf.VlmFreezeError as error:
        return {"id": id_, "error": error.problem}
    return {
        "id": id_,
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - worked, 1),
        "traced": not cost.is_bound,
        "peak_gb": round(cost.peak_bytes / 1e9, 2),
        "activations_gb": round(cost.activation_bytes / 1e9, 2),
        "tokens": cost.tokens,
        "forward_tflop": round(sum(cost.flops.forward.values()) / 1e12, 2),
        "own_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "note": " ".join(cost.notes)[:200],
    }


if __name__ == "__main__":
    main()
