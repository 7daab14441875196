"""What watching costs: the burst's step time over a bare loop's (with clipping), both in this process, taking turns.

    python benchmarks/overhead.py [--steps 40] [--device cpu|cuda] [--out benchmarks/results/overhead.json]

The bare loop is forward, backward, clip_grad_norm_, AdamW step and loss.item(). Both train the same parameters of the same
model on the same batch; the order alternates and the median of the pairwise ratios is printed, so that a noisy neighbour hits both.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

import vlmfreeze_widgets as vf


def large_model() -> tuple[Any, dict[str, torch.Tensor]]:
    """A LLaVA of about 100 M parameters with random weights, and a batch of 2 x (64 image + 64 text) tokens."""
    vision = CLIPVisionConfig(
        hidden_size=512,
        intermediate_size=2048,
        num_hidden_layers=6,
        num_attention_heads=8,
        image_size=128,
        patch_size=16,
    )
    text = LlamaConfig(
        vocab_size=16000, hidden_size=768, intermediate_size=2048, num_hidden_layers=8, num_attention_heads=12,
        num_key_value_heads=12, max_position_embeddings=512,
    )  # fmt: skip
    model = LlavaForConditionalGeneration(
        LlavaConfig(vision_config=vision, text_config=text, image_token_index=15999, image_seq_length=64)
    ).float()
    ids = torch.randint(0, 15000, (2, 128))
    ids[:, :64] = 15999
    labels = ids.clone()
    labels[:, :64] = -100
    batch = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.randn(2, 3, 128, 128),
        "labels": labels,
    }
    return model, batch


def bare_steps(model: Any, batch: dict[str, torch.Tensor], names: frozenset[str], device: torch.device):
    """A generator of step times of the bare loop."""
    model.train()
    flags = [(p, p.requires_grad) for p in model.parameters()]
    for name, p in model.named_parameters():
        p.requires_grad_(name in names)
    wanted = [p for p in model.parameters() if p.requires_grad]
    kept = [p.detach().clone() for p in wanted]
    optimizer = torch.optim.AdamW(wanted, lr=1e-5, weight_decay=0.0)
    while True:
        began = time.perf_counter()
        moved = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
        loss = model(**moved).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(wanted, 1.0)
        optimizer.step()
        loss.item()
        if (yield time.perf_counter() - began) == "stop":
            break
    with torch.no_grad():
        for p, k in zip(wanted, kept, strict=True):
            p.copy_(k)
            p.grad = None
    for p, flag in flags:
        p.requires_grad_(flag)
    yield 0.0


def compare(
    model: Any, batch: dict[str, torch.Tensor], strategy: vf.Strategy, steps: int, device: torch.device
) -> dict[str, Any]:
    """Median step times and ratio; both sides on deep copies, so that both keep their own optimizer state."""
    import copy

    twin = copy.deepcopy(model)
    plan = vf.resolve(strategy, vf.read_tree(model))
    bare = bare_steps(twin, batch, plan.trainable, device)
    burst = vf.Burst(model, strategy, [batch], steps=steps + 5, lr=1e-5)

    def burst_step() -> float:
        began = time.perf_counter()
        record = next(burst)
        assert record.loss == record.loss
        return time.perf_counter() - began

    for _ in range(4):  # the verdict at step 3 is paid once, not per step
        next(bare)
        burst_step()
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(steps):
        if i % 2:
            times[1].append(burst_step())
            times[0].append(next(bare))
        else:
            times[0].append(next(bare))
            times[1].append(burst_step())
    burst.close()
    bare.send("stop")
    ratios = [b / a for a, b in zip(*times, strict=True)]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": plan.trainable_params,
        "tensors": len(plan.trainable),
        "bare_ms": round(1000 * statistics.median(times[0]), 3),
        "burst_ms": round(1000 * statistics.median(times[1]), 3),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_of_medians": round(statistics.median(times[1]) / statistics.median(times[0]), 4),
        "steps": steps,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.manual_seed(0)
    demo = vf.demo()
    everything = vf.Strategy(dict.fromkeys(("projector", "language_model", "embeddings", "head"), "full"))
    results = {}
    for name, (model, batch) in {"tiny": (demo.model, demo.batches[0]), "100M": large_model()}.items():
        moved = model.to(device)
        rounds = args.steps * (4 if name == "tiny" else 1)
        results[name] = compare(moved, batch, everything, rounds, device)
        row = results[name]
        print(f"{name:<6} bare {row['bare_ms']:.2f} ms  burst {row['burst_ms']:.2f} ms  ratio {row['ratio']:.4f}")
    report = {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "results": results,
    }
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
