"""What the loss from label positions saves: a burst's step over a bare loop's, in this process, taking turns.

    python benchmarks/label_positions.py [--steps 20] [--out benchmarks/results/label_positions.json]

The bare loop is forward with labels, clip_grad_norm_, AdamW. Both sides train copies of one LLaVA of SmolVLM's proportions on the
same batches of 2 x (256 image + 64 text) tokens, 24 of them labels. Printed for each subject: the median of the pairwise ratios of
CPU time, what autograd keeps for the backward pass, the highest resident memory beyond that of the imports (each side in a process
of its own), and the largest relative difference of the losses. It fails where losses differ by more than 1e-5, and where wrong
positions are not noticed: speed that changes numbers does not count.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, SiglipVisionConfig

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.engine.step.label_positions import LabelPositions

LARGEST_DIFFERENCE = 1e-5
PROJECTOR, LANGUAGE_MODEL = {"projector": "full"}, {"language_model": "full"}
SUBJECTS = {
    "84 M, V 49,280, projector": (49_280, True, PROJECTOR),
    "84 M, V 49,280, language model": (49_280, True, LANGUAGE_MODEL),
    "221 M, V 151,936, projector": (151_936, False, PROJECTOR),
}


def made(vocabulary: int, tied: bool) -> LlavaForConditionalGeneration:
    """A LLaVA with 12 layers of SmolVLM's width and random weights."""
    torch.manual_seed(0)
    text = LlamaConfig(
        vocab_size=vocabulary, hidden_size=576, intermediate_size=1536, num_hidden_layers=12, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=1024, tie_word_embeddings=tied,
    )  # fmt: skip
    width = 384 if tied else 192
    vision = SiglipVisionConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=6,
        num_attention_heads=6,
        image_size=256,
        patch_size=16,
    )
    config = LlavaConfig(
        text_config=text, vision_config=vision, image_token_index=vocabulary - 1, tie_word_embeddings=tied,
        vision_feature_select_strategy="full", vision_feature_layer=-1,
    )  # fmt: skip
    return LlavaForConditionalGeneration(config).float()


def batches(vocabulary: int, number: int) -> list[dict[str, torch.Tensor]]:
    """Rows of 256 image tokens, 52 of a prompt and 12 of an answer."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for _ in range(number):
        ids = torch.randint(5, vocabulary - 2, (2, 320), generator=draw)
        ids[:, :256] = vocabulary - 1
        labels = ids.masked_fill(torch.arange(320) < 308, -100)
        pixels = torch.randn(2, 3, 256, 256, generator=draw)
        found.append(
            {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels, "labels": labels}
        )
    return found


def bare(model: Any, rules: dict[str, str], source: list[Any]) -> Iterator[float]:
    """The losses of the bare loop."""
    plan = vf.resolve(rules, vf.read_tree(model))
    model.eval()  # no dropout anywhere; frozen parts of a burst rest too
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in plan.trainable)
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(wanted, lr=1e-4, weight_decay=0.0)
    for given in source:
        loss = model(**given).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(wanted, 1.0)
        optimizer.step()
        yield loss.item()


def burst(model: Any, rules: dict[str, str], source: list[Any]) -> Iterator[float]:
    """The losses of a burst."""
    for record in vf.Burst(model, rules, source, steps=len(source), lr=1e-4, proof="fast", loss_positions="labels"):
        yield record.loss


def kept_bytes(model: Any, rules: dict[str, str], given: Any, loss_positions: str) -> int:
    """What autograd keeps for the backward pass, foretold by the estimate, which equals the real thing to the byte."""
    return vf.estimate_cost(model, rules, given, loss_positions=loss_positions).activation_bytes


def side_by_side(name: str, steps: int) -> dict[str, Any]:
    """One row of the table."""
    vocabulary, tied, rules = SUBJECTS[name]
    model, source = made(vocabulary, tied), batches(vocabulary, steps + 1)
    parameters = sum(p.numel() for p in model.parameters())
    kept = {way: kept_bytes(model, rules, source[0], way) for way in ("labels", "all")}
    sides = [bare(copy.deepcopy(model), rules, source), burst(model, rules, source)]
    ratios, differences = [], []
    for step in range(steps + 1):
        losses, seconds = [], []
        for side in sides if step % 2 else reversed(sides):
            began = time.process_time()
            losses.append(next(side))
            seconds.append(time.process_time() - began)
        if step % 2 == 0:
            losses, seconds = losses[::-1], seconds[::-1]
        differences.append(abs(losses[1] - losses[0]) / abs(losses[0]))
        if step:  # in the first one the burst compares the two losses, and both sides allocate
            ratios.append(seconds[1] / seconds[0])
    memory = {side: peak_megabytes(name, side) for side in ("bare", "burst")}
    return {
        "parameters": parameters, "steps": steps, "time_ratio": statistics.median(ratios),
        "kept_ratio": kept["labels"] / kept["all"], "kept_bytes": kept,
        "memory_ratio": memory["burst"] / memory["bare"], "megabytes": memory,
        "largest_difference": max(differences),
    }  # fmt: skip


def peak_megabytes(name: str, side: str) -> float:
    """The highest resident memory of three steps beyond that of the imports, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--memory-of", name, side], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def _memory_of(name: str, side: str) -> None:
    vocabulary, tied, rules = SUBJECTS[name]
    before = _highest_resident()
    run = bare if side == "bare" else burst
    for _ in run(made(vocabulary, tied), rules, batches(vocabulary, 3)):
        pass
    print(_highest_resident() - before)


def _highest_resident() -> float:
    """Megabytes, of this process alone; what getrusage tells is inherited from the one that started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def wrong_positions_are_noticed() -> bool:
    """The control: positions one too early must not be trained on, and their loss is not the bare loop's."""
    vocabulary, tied, rules = SUBJECTS["84 M, V 49,280, projector"]
    real = LabelPositions._targets

    def early(self: LabelPositions, given: Any) -> Any:
        found = real(self, given)
        return None if found is None else (found[0] - 1, found[1])

    LabelPositions._targets = early  # type: ignore[method-assign]
    try:
        result = vf.Burst(
            made(vocabulary, tied), rules, batches(vocabulary, 1), steps=1, lr=1e-4, loss_positions="labels"
        ).run()
    finally:
        LabelPositions._targets = real  # type: ignore[method-assign]
    return result.loss_positions is not None and result.loss_positions.way == "all"


def main() -> int:
    """Measures and prints every row; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--subjects", nargs="*", default=list(SUBJECTS))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--memory-of", nargs=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.memory_of:
        _memory_of(*args.memory_of)
        return 0
    rows, failed = {}, not wrong_positions_are_noticed()
    print(f"wrong positions are {'NOT ' if failed else ''}noticed")
    for name in args.subjects:
        row = rows[name] = side_by_side(name, args.steps)
        failed |= row["largest_difference"] > LARGEST_DIFFERENCE
        print(
            f"{name:34} time {row['time_ratio']:.2f}  kept {row['kept_ratio']:.2f}  memory {row['memory_ratio']:.2f}  "
            f"losses differ by {row['largest_difference']:.1e} at most",
            flush=True,
        )
    if args.out:
        machine = {"python": platform.python_version(), "torch": torch.__version__, "processor": platform.machine()}
        args.out.write_text(json.dumps({"machine": machine, "subjects": rows}, indent=1) + "\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
