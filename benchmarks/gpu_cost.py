"""Foretold against real on a GPU: peak memory, whether it fits, and the time of a step.

    python -m benchmarks.gpu_cost                           # gpu_cost.json and a table, gpu_cost.md, in benchmarks/results
    python -m benchmarks.gpu_cost --tiny --device cpu       # proves that it runs, where there is no GPU

A cell is model x strategy x rows x checkpointing x dtype. It is foretold from the config alone (``vf.estimate_cost`` on the CPU, in
other processes) and run as a burst on random weights; real is ``torch.cuda.max_memory_allocated`` beyond what was there before the
model. For the verdicts the allocator is held to what a smaller card would leave it: the smallest card that is said to fit, and the
largest that is said not to. Beside it stand the rule of ``accelerate estimate-memory`` (its own function) and DeepSpeed's
``estimate_zero2_model_states_mem_needs`` on one GPU without offload, written here from its published source as 4 P + 16 P / GPUs
bytes for P parameters; both know neither strategy nor batch. On a CPU real is what stands plus what torch's allocator gave out
during forward and backward.

Long because one cell's way from forecast to verdict is read in one piece; what all of them come to is in ``gpu_cost_table``.
"""

from __future__ import annotations

import argparse
import gc
import logging
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vlmfreeze_widgets as vf
from benchmarks.gpu_cost_table import summary, table
from benchmarks.gpu_models import LORA, RESULTS, machine, noise, published, write
from vlmfreeze_widgets.core.cost.gpus import DEVICES

RULES: dict[str, dict[str, Any]] = {
    "projector": {"projector": "full"},
    "LLM LoRA": {"language_model": LORA},
    "ViT full + LLM LoRA": {"vision_tower": "full", "language_model": LORA},
    "everything": {"vision_tower": "full", "projector": "full", "language_model": "full"},
}
# Every strategy with and without checkpointing, few rows and more, each twice; then weights in float32 under autocast.
PATTERN = (
    ("projector", 2, False, "bfloat16"), ("projector", 8, True, "bfloat16"), ("LLM LoRA", 2, False, "bfloat16"),
    ("LLM LoRA", 6, True, "bfloat16"), ("ViT full + LLM LoRA", 1, False, "bfloat16"),
    ("ViT full + LLM LoRA", 4, True, "bfloat16"), ("everything", 1, True, "bfloat16"), ("everything", 2, False, "bfloat16"),
    ("projector", 3, False, "mixed"), ("LLM LoRA", 3, True, "mixed"),
)  # fmt: skip
MODELS = (
    "HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "OpenGVLab/InternVL3-1B-hf", "Qwen/Qwen2-VL-2B-Instruct",
    "google/paligemma-3b-pt-224", "Qwen/Qwen2.5-VL-3B-Instruct", "llava-hf/llava-1.5-7b-hf",
)  # fmt: skip
TINY = ("tiny:llava", "tiny:qwen2_5_vl")
CARDS_GIB = (2, 3, 4, 6, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96)
_STEPS = 4


@dataclass(frozen=True)
class Cell:
    """One combination.

    Attributes:
        model: Of the catalogue.
        strategy: Of ``RULES``.
        rows: Of a micro-batch.
        checkpointing: Whether activations are computed again.
        dtype: "bfloat16", or "mixed" for float32 weights under bfloat16 autocast.
    """

    model: str
    strategy: str
    rows: int
    checkpointing: bool
    dtype: str

    @property
    def weights(self) -> torch.dtype:
        """Of the weights."""
        return torch.bfloat16 if self.dtype == "bfloat16" else torch.float32

    @property
    def settings(self) -> dict[str, Any]:
        """Of burst and estimate alike."""
        return {
            "checkpointing": self.checkpointing,
            "precision": "auto" if self.dtype == "bfloat16" else "bf16-mixed",
        }


def foretold(cell: Cell, gpu: str, batch: dict[str, Any], device: str) -> dict[str, Any]:
    """What is said of a cell, from the config alone."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    source: Any = cell.model
    if cell.model.startswith("tiny:"):
        source = published(cell.model, torch.device("cpu"), cell.weights)
    dtype = str(cell.weights).removeprefix("torch.")
    cost = vf.estimate_cost(source, RULES[cell.strategy], batch, dtype=dtype, device=device, **cell.settings)
    card = DEVICES.get(gpu)
    return {
        "peak": cost.peak_bytes,
        "at": cost.peak.name,
        "traced": not cost.is_bound,
        "parts": cost.parts,
        "seconds": cost.time_on(card).seconds if card else None,
        "fits": {str(gib): cost.fits(gib * 2**30) for gib in CARDS_GIB},
    }


def rules_of_others(model: nn.Module) -> dict[str, int]:
    """What two other tools say that training this model takes."""
    from accelerate.commands.estimate import estimate_training_usage

    parameters = sum(p.numel() for p in model.parameters())
    said = estimate_training_usage(4 * parameters, "bfloat16")
    return {"accelerate": int(max(said.values())), "deepspeed": 4 * parameters + 16 * parameters}


def run_on_gpu(
    model: nn.Module, cell: Cell, batch: dict[str, Any], base: int, steps: int = _STEPS
) -> tuple[int, float] | None:
    """Bytes at the worst moment and median seconds of later steps; None where memory ran out."""
    gc.collect()
    torch.cuda.empty_cache()
    burst = vf.Burst(
        model, RULES[cell.strategy], [batch], steps=steps, verdict_after=steps + 1, proof="fast", lr=1e-6,
        eval_every=steps + 1, on_out_of_memory="tell", **cell.settings,
    )  # fmt: skip
    try:
        history = burst.run().history
    except vf.VlmFreezeError as error:
        if error.code != "out-of-memory":
            raise
        return None
    peak = max(r.memory_bytes or 0 for r in history)
    return peak - base, statistics.median(r.seconds for r in history[1:-1] or history)


def run_on_cpu(model: nn.Module, cell: Cell, batch: dict[str, Any]) -> int:
    """The same figure, of a tiny model."""
    from tests.engine.burst.real_step import real_step

    plan = vf.resolve(vf.Strategy(RULES[cell.strategy]), vf.read_tree(model))
    stands = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers(), *batch.values()))
    real = real_step(model, plan, batch, **cell.settings)
    adapters = sum(a.numel() * 4 for a in _adapters(model, plan))
    return stands + adapters + real.master_bytes + real.state_bytes + real.peak_bytes


def _adapters(model: nn.Module, plan: Any) -> Iterator[torch.Tensor]:
    with vf.apply(model, plan) as applied:
        yield from (t.parameter.detach().clone() for t in applied.trainables if t.is_adapter)


def verdicts(said: dict[str, Any], runs: Callable[[int], bool]) -> list[dict[str, Any]]:
    """The nearest cards on both sides of the verdict, tried.

    Args:
        said: Of ``foretold``.
        runs: Whether the cell runs on a card of so many GiB.
    """
    fits = [int(gib) for gib, verdict in said["fits"].items() if verdict is True]
    not_fits = [int(gib) for gib, verdict in said["fits"].items() if verdict is False]
    tried = [(min(fits), True)] if fits else []
    tried += [(max(not_fits), False)] if not_fits else []
    return [{"gib": gib, "said": verdict, "ran": runs(gib)} for gib, verdict in tried]


def held_to(gib: int, base: int, run: Callable[[], object]) -> bool:
    """Whether something runs when the allocator may take what a card of so many GiB would leave it."""
    gc.collect()
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()  # of this process, were it alone on the card
    limit = gib * 2**30 - min(context, 2**30) + base
    if limit >= total:
        return run() is not None
    torch.cuda.set_per_process_memory_fraction(max(0.0, limit / total))
    try:
        return run() is not None
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Runs every cell; the file is written anew after each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="two models of 50 K parameters instead")
    parser.add_argument("--cells", type=int, default=len(PATTERN), help="per model, at most")
    parser.add_argument("--workers", type=int, default=0, help="processes that foretell; 0: this one")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu_cost.json")
    args = parser.parse_args(arguments)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    device = torch.device(args.device)
    about = machine(device)
    gpu = next((name for name in DEVICES if name in about["device"]), "")
    report: dict[str, Any] = {"machine": about, "cards_gib": list(CARDS_GIB), "summary": {}, "cells": []}
    pool = ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) if args.workers else None
    for name in args.models or (TINY if args.tiny else MODELS):
        cells = [Cell(name, *rest) for rest in PATTERN[: args.cells]]
        for found in _model(name, cells, device, gpu, pool):
            report["cells"].append(found)
            print(found["model"], found["strategy"], found["rows"], found["dtype"], found.get("error"), flush=True)
        report["summary"] = summary(report["cells"])
        write(args.out, report)
        args.out.with_suffix(".md").write_text(table(report), encoding="utf-8")
    if pool is not None:
        pool.shutdown(cancel_futures=True)
    print(report["summary"])
    return report


def _model(
    name: str, cells: list[Cell], device: torch.device, gpu: str, pool: ProcessPoolExecutor | None
) -> Iterator[dict[str, Any]]:
    for weights in dict.fromkeys(c.weights for c in cells):
        gc.collect()
        base = 0
        if device.type == "cuda":
            torch.cuda.empty_cache()
            base = torch.cuda.memory_allocated(device)
        model = published(name, device, weights)
        of_dtype = [c for c in cells if c.weights == weights]
        batches = {c: noise(model, name, c.rows, device) for c in of_dtype}
        said: dict[Cell, Future[dict[str, Any]] | None] = {
            c: pool.submit(foretold, c, gpu, _plain(batches[c]), device.type) if pool else None for c in of_dtype
        }
        others = rules_of_others(model)
        for cell in of_dtype:
            batch = batches[cell]
            real = (
                run_on_gpu(model, cell, batch, base)
                if device.type == "cuda"
                else (run_on_cpu(model, cell, batch), None)
            )
            waiting = said[cell]
            guess = waiting.result() if waiting else foretold(cell, gpu, batch, device.type)

            again = partial(run_on_gpu, model, cell, batch, base, steps=2)
            on_card = partial(held_to, base=base, run=again)
            found = {**asdict(cell), "foretold": guess, "others": others, "out_of_memory": real is None}
            if real is not None:
                found |= {"real_peak": real[0], "real_seconds": real[1], "error": round(guess["peak"] / real[0] - 1, 4)}
                found["verdicts"] = verdicts(guess, on_card) if device.type == "cuda" else []
            yield found
        del model


def _plain(batch: dict[str, Any]) -> dict[str, Any]:
    return {k: v.clone() for k, v in batch.items()}  # pinned memory does not travel to another process


if __name__ == "__main__":
    main()
