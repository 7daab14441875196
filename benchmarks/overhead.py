"""What watching costs: the step time of several ways to train over a bare loop's (with clipping), in this process, taking turns.

    python benchmarks/overhead.py [--steps 40] [--device cpu|cuda] [--out benchmarks/results/overhead.json]
    python benchmarks/overhead.py --memory-only --out benchmarks/results/overhead.json     # keeps the times that are there

The bare loop is forward, backward, clip_grad_norm_, AdamW step and loss.item(). Beside it: the burst; the burst with everything
on (held-out loss, retention, update ratios); the burst with cached features of the frozen tower; Hugging Face's Trainer; and the
Trainer with a histogram of every gradient at every step, as trackers make them. All train the same parameters of copies of one
model on the same batch; they take turns and the median of the pairwise ratios is printed. On a CPU the time is CPU time:
neighbours do not count.

Peak memory is taken of each way, in a process of its own: on a GPU the most that torch had allocated, on a CPU the highest
resident set beyond that of the process before the model was made. A burst keeps the start of what trains in host memory, to give it
back; on a CPU that is the memory that is measured.

Long because six ways to train stand side by side, to be compared line by line.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import vlmfreeze_widgets as vf

STRATEGY = vf.Strategy(dict.fromkeys(("projector", "language_model", "embeddings", "head"), "full"))


def clock() -> float:
    """On a CPU the seconds that this process computed, which a busy neighbour does not lengthen; on a GPU wall time."""
    return time.perf_counter() if torch.cuda.is_available() else time.process_time()


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
    """A generator of step times of the bare loop; the model stays trained."""
    model.train()
    for name, p in model.named_parameters():
        p.requires_grad_(name in names)
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=1e-5, weight_decay=0.0)
    while True:
        began = clock()
        moved = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
        loss = model(**moved).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(wanted, 1.0)
        optimizer.step()
        loss.item()
        if (yield clock() - began) == "stop":
            break
    yield 0.0


def burst_steps(burst: Any):
    """A generator of step times of a burst."""
    while True:
        began = clock()
        next(burst)
        if (yield clock() - began) == "stop":
            break
    burst.close()
    yield 0.0


def trainer_steps(
    model: Any,
    batch: dict[str, torch.Tensor],
    names: frozenset[str],
    steps: int,
    histograms: bool,
    device: torch.device,
):
    """A generator of step times of Hugging Face's Trainer, which runs on a thread of its own and waits for its turn."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    turn, done = threading.Semaphore(0), threading.Semaphore(0)
    stopped = threading.Event()

    class Turns(TrainerCallback):
        def on_step_begin(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
            turn.acquire()
            return control

        def on_pre_optimizer_step(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
            if histograms:
                self.kept = [
                    torch.histc(p.grad.float(), bins=64).cpu() for p in model.parameters() if p.grad is not None
                ]
            return control

        def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> Any:
            done.release()
            control.should_training_stop = stopped.is_set()
            return control

    trainer = Trainer(
        model,
        TrainingArguments(
            output_dir=tempfile.mkdtemp(), max_steps=steps + 100, per_device_train_batch_size=1, learning_rate=1e-5,
            logging_steps=1,
            report_to=[], save_strategy="no", disable_tqdm=True, lr_scheduler_type="constant", use_cpu=device.type == "cpu",
        ),
        train_dataset=[batch] * (steps + 100), data_collator=lambda rows: rows[0], callbacks=[Turns()],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    thread = threading.Thread(target=trainer.train, daemon=True)
    thread.start()
    while True:
        began = clock()
        turn.release()
        done.acquire()
        if (yield clock() - began) == "stop":
            break
    stopped.set()
    turn.release()
    thread.join(60)
    yield 0.0


def subject(name: str) -> tuple[Any, dict[str, torch.Tensor]]:
    """One of the two models, and a batch for it; the same every time."""
    torch.manual_seed(0)
    if name == "100M":
        return large_model()
    demo = vf.demo()
    return demo.model, demo.batches[0]


def ways_of(
    model: Any, batch: dict[str, torch.Tensor], strategy: vf.Strategy, steps: int, device: torch.device
) -> dict[str, Callable[[Any], Any]]:
    """Name -> makes, of a model of its own, a generator of step times."""
    plan = vf.resolve(strategy, vf.read_tree(model))
    text = {k: v for k, v in batch.items() if k != "pixel_values"}
    text["input_ids"] = text["input_ids"].clone().masked_fill(text["input_ids"] == model.config.image_token_id, 5)
    options: dict[str, Any] = {"steps": steps + 100, "lr": 1e-5}
    watched = {"eval_batches": [batch], "retention_batches": [text]}
    return {
        "bare loop": lambda own: bare_steps(own, batch, plan.trainable, device),
        "burst": lambda own: burst_steps(vf.Burst(own, strategy, [batch], **options)),
        "burst, everything watched": lambda own: burst_steps(vf.Burst(own, strategy, [batch], **options, **watched)),
        "burst, cached features": lambda own: burst_steps(
            vf.Burst(own, strategy, [batch], cache_features=True, **options)
        ),
        "Trainer": lambda own: trainer_steps(own, batch, plan.trainable, steps, False, device),
        "Trainer, histograms": lambda own: trainer_steps(own, batch, plan.trainable, steps, True, device),
    }


def peak(name: str, way: str, device: torch.device) -> int:
    """Bytes at the worst moment of eight steps of one way, model included; meant for a process of its own."""
    Path("/proc/self/clear_refs").write_text("5")  # the highest resident set counts from here
    before = _resident("VmRSS")
    model, batch = subject(name)
    model = model.to(device)
    steps = ways_of(model, batch, STRATEGY, 8, device)[way](model)
    for _ in range(8):
        next(steps)
    steps.send("stop")
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident("VmHWM") - before


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith(field)).split()[1])


def peaks(name: str, ways: Iterable[str], device: torch.device) -> dict[str, dict[str, float]]:
    """Way -> megabytes, and the ratio to the bare loop's."""
    found = {}
    for way in ways:
        command = [sys.executable, __file__, "--device", device.type, "--peak", name, way]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found[way] = int(said.splitlines()[-1])
        print(
            f"{name:<6} {way:<28} {found[way] / 1e6:>9.1f} MB  ratio {found[way] / found['bare loop']:.3f}", flush=True
        )
    return {
        way: {"peak_mb": round(n / 1e6, 1), "memory_ratio": round(n / found["bare loop"], 4)}
        for way, n in found.items()
    }


def compare(
    model: Any, batch: dict[str, torch.Tensor], strategy: vf.Strategy, steps: int, device: torch.device
) -> dict[str, Any]:
    """Median step times and ratios; every way has a copy of the model, with its own optimizer state."""
    plan = vf.resolve(strategy, vf.read_tree(model))
    makers = ways_of(model, batch, strategy, steps, device)
    ways = {name: make(copy.deepcopy(model)) for name, make in makers.items()}
    for _ in range(4):  # the verdict at step 3 is paid once, not per step
        for way in ways.values():
            next(way)
    times: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for i in range(steps):
        for name in order[i % len(order) :] + order[: i % len(order)]:
            times[name].append(next(ways[name]))
    for way in ways.values():
        way.send("stop")
    bare = times["bare loop"]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable": plan.trainable_params,
        "tensors": len(plan.trainable),
        "steps": steps,
        "ways": {
            name: {
                "median_ms": round(1000 * statistics.median(taken), 3),
                # Looks are rare and long: the mean has them in it, the median not.
                "mean_ms": round(1000 * statistics.fmean(taken), 3),
                "ratio": round(statistics.median(b / a for a, b in zip(bare, taken, strict=True)), 4),
            }
            for name, taken in times.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-only", action="store_true", help="measure memory; keep the times that --out holds")
    parser.add_argument("--peak", nargs=2, metavar=("MODEL", "WAY"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    device = torch.device(args.device)
    if args.peak:
        print(peak(*args.peak, device))
        return
    report: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "results": {},
    }
    if args.memory_only and args.out and args.out.exists():
        report = json.loads(args.out.read_text(encoding="utf-8"))
    for name in ("tiny", "100M"):
        if not args.memory_only:
            model, batch = subject(name)
            rounds = args.steps * (4 if name == "tiny" else 1)
            report["results"][name] = compare(model.to(device), batch, STRATEGY, rounds, device)
            for way, row in report["results"][name]["ways"].items():
                print(
                    f"{name:<6} {way:<28} {row['median_ms']:>9.2f} ms  mean {row['mean_ms']:>9.2f} ms  ratio {row['ratio']:.3f}"
                )
        ways = report["results"][name]["ways"]
        for way, found in peaks(name, ways, device).items():
            ways[way] |= found
        if args.out:
            args.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
