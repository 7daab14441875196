"""What a burst costs on a GPU beside a bare loop: steps per second, waits for the device per step, and peak memory.

    python -m benchmarks.gpu_burst [--model Qwen/Qwen2.5-VL-3B-Instruct] [--steps 30]
    python -m benchmarks.gpu_burst --tiny --device cpu --steps 4     # proves that it runs, where there is no GPU

The bare loop has the same modules (``vf.apply``) and the same float32 masters; it zeroes, computes, clips, steps, reads the loss.
The burst has everything on: held-out loss, retention, update ratios, the proof. Both have their own copy of one model, bfloat16,
random weights; they take turns in one process, and the device is waited for at the end of every step of either. Peak memory is
taken of each alone, before. Waits are counted by torch.profiler; those of the model's own code are in both columns.
"""

from __future__ import annotations

import argparse
import copy
import gc
import statistics
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import vlmfreeze_widgets as vf
from benchmarks.gpu_models import LORA, RESULTS, machine, noise, published, text_only, write
from vlmfreeze_widgets.engine.apply.master_weights import MasterWeights

STRATEGIES: dict[str, dict[str, Any]] = {
    "projector": {"projector": "full"},
    "LLM LoRA": {"language_model": LORA},
    "ViT full + LLM LoRA": {"vision_tower": "full", "language_model": LORA},
}
_WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_PROFILED = 5
_LR = 1e-5
Steps = Generator[None, Any, None]


def bare(model: nn.Module, strategy: vf.Strategy, batch: dict[str, Any], device: torch.device) -> Steps:
    """One step per turn."""
    with vf.apply(model, strategy) as applied:
        masters = MasterWeights([t.parameter for t in applied.trainables])
        optimizer = torch.optim.AdamW(masters.tensors, lr=_LR, weight_decay=0.0)
        while True:
            moved = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
            masters.clear_gradients()
            loss = model(**moved).loss
            loss.backward()
            masters.take_gradients()
            torch.nn.utils.clip_grad_norm_(masters.tensors, 1.0)
            optimizer.step()
            masters.give_values()
            loss.item()
            yield


def ours(model: nn.Module, strategy: vf.Strategy, batch: dict[str, Any], steps: int) -> Steps:
    """One step per turn, with everything watched."""
    burst = vf.Burst(
        model, strategy, [batch], steps=steps, eval_batches=[batch], retention_batches=[text_only(batch)],
        on_out_of_memory="tell",
    )  # fmt: skip
    with burst:
        for _ in burst:
            yield


def timed(way: Steps, device: torch.device) -> float:
    """Seconds of a turn, to the end of its work on the device."""
    began = time.perf_counter()
    next(way)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def peak_of(make: Any, model: nn.Module, device: torch.device) -> int | None:
    """Bytes at the worst moment of some steps of one way alone, with its model."""
    if device.type != "cuda":
        return None
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    own = copy.deepcopy(model)
    way = make(own)
    for _ in range(4):
        next(way)
    way.close()
    return torch.cuda.max_memory_allocated(device) - before


def waits(way: Steps, device: torch.device) -> dict[str, float] | None:
    """Per step: calls that wait for the device, and copies from it to the host."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as watched:
        for _ in range(_PROFILED):
            next(way)
    counts = Counter(event.name for event in watched.events())
    return {
        "waits": sum(counts[name] for name in _WAITS) / _PROFILED,
        "copies_to_host": sum(n for name, n in counts.items() if name.startswith("Memcpy DtoH")) / _PROFILED,
    }


def compare(
    model: nn.Module, batch: dict[str, Any], rules: dict[str, Any], steps: int, device: torch.device
) -> dict[str, Any]:
    """All figures of one strategy."""
    strategy = vf.Strategy(rules, lr={"": _LR})
    total = steps + 5 + _PROFILED
    makes = {
        "bare": lambda own: bare(own, strategy, batch, device),
        "burst": lambda own: ours(own, strategy, batch, total),
    }
    peaks = {name: peak_of(make, model, device) for name, make in makes.items()}
    ways = {name: make(copy.deepcopy(model)) for name, make in makes.items()}
    for _ in range(4):  # the verdict at step 3 is paid once, not per step
        for way in ways.values():
            next(way)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for i in range(steps):
        for name in list(ways)[:: 1 if i % 2 else -1]:
            times[name].append(timed(ways[name], device))
    counted = {name: waits(way, device) for name, way in ways.items()}
    for way in ways.values():
        way.close()
    plan = vf.resolve(strategy, vf.read_tree(model))
    pairs = list(zip(times["bare"], times["burst"], strict=True))
    memory = None if peaks["bare"] is None or peaks["burst"] is None else round(peaks["burst"] / peaks["bare"], 4)
    return {
        "trainable": plan.trainable_params,
        "steps": steps,
        "tokens": int(batch["input_ids"].numel()),
        "bare_ms": round(1000 * statistics.median(times["bare"]), 2),
        "burst_ms": round(1000 * statistics.median(times["burst"]), 2),
        # Looks are rare and long: the mean has them in it, the median not.
        "burst_mean_ms": round(1000 * statistics.fmean(times["burst"]), 2),
        "time_ratio": round(statistics.median(b / a for a, b in pairs), 4),
        "waits_bare": counted["bare"],
        "waits_burst": counted["burst"],
        "peak_bytes": peaks,
        "memory_ratio": memory,
    }


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Runs every strategy; the file is written anew after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="Qwen/Qwen2.5-VL-3B-Instruct", help="of the catalogue")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tiny", action="store_true", help="a model of 50 K parameters instead")
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu_burst.json")
    args = parser.parse_args(arguments)
    device = torch.device(args.device)
    name = "tiny:qwen2_5_vl" if args.tiny else args.model
    model = published(name, device, torch.bfloat16)
    batch = noise(model, name, args.rows, device)
    report: dict[str, Any] = {
        "machine": machine(device),
        "model": name,
        "parameters": sum(p.numel() for p in model.parameters()),
        "rows": args.rows,
        "target": {"time_ratio": 1.02, "waits_more_than_bare": 0},
        "strategies": {},
    }
    for title, rules in STRATEGIES.items():
        found = report["strategies"][title] = compare(model, batch, rules, args.steps, device)
        write(args.out, report)
        print(title, {k: found[k] for k in ("bare_ms", "burst_ms", "time_ratio", "memory_ratio", "waits_burst")})
        gc.collect()
    return report


if __name__ == "__main__":
    main()
