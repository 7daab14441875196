"""The recipe of the tiny VLM: ``python -m vlmfreeze_widgets.demo.train``. Minutes on two CPU cores, same for the same seed.

1. The language model learns on text alone: a grid of glyph words -> caption. Now it can use its context.
2. The vision tower learns to tell, per patch, which glyph it holds, with a linear readout that is thrown away.
3. The projector stays untrained: joining the two is the lesson. The recipe ends by proving that the lesson works.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..adapters import safetensors_files
from ..engine.burst.burst import Burst
from .bundle import WEIGHTS, Demo, load_demo
from .lessons import LESSON_LR, LESSON_STEPS, LESSONS
from .scenes import GLYPHS, scenes
from .tiny_vlm import PROMPT, WIDTH, make_model, make_processor, text_row, words

TEXT_STEPS = 900
TOWER_STEPS = 300
NOISE = 0.5  # of the standard deviation of the words' embeddings
_LEAST_RIGHT = 0.95  # attributes on held-out pictures after the first stage
_LEAST_GAP = 0.15  # by which the other lessons must stay behind


def main(argv: list[str] | None = None) -> int:
    """Trains, checks and writes; returns 1 (and writes nothing) when a lesson does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text-steps", type=int, default=TEXT_STEPS)
    parser.add_argument("--tower-steps", type=int, default=TOWER_STEPS)
    parser.add_argument("--check-only", action="store_true", help="only prove the lessons on the weights in --out")
    args = parser.parse_args(argv)
    if args.check_only:
        return 0 if _report(prove(args.out)) else 1
    began = time.perf_counter()
    model, processor = make_model(args.seed), make_processor()
    train_language_model(model, args.text_steps, args.seed)
    train_tower(model, processor, args.tower_steps, args.seed)
    fresh = args.out.with_name(args.out.name + ".new")
    write(model, processor, fresh)
    print(f"trained in {time.perf_counter() - began:.0f} s")
    table = prove(fresh)
    good = _report(table)
    if good:
        (fresh / "lessons.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        args.out.mkdir(parents=True, exist_ok=True)
        for file in fresh.iterdir():
            file.replace(args.out / file.name)
    for file in fresh.iterdir():
        file.unlink()
    fresh.rmdir()
    return 0 if good else 1


def train_language_model(model: Any, steps: int, seed: int) -> float:  # LlavaForConditionalGeneration
    """Stage 1, text alone: the words of the grid stand where the picture's features will be. Returns the last loss."""
    index = {word: i for i, word in enumerate(words())}
    # Words know every pair of shapes; it is pictures of some pairs that are held out.
    stream = scenes(steps * 32, held_out=None, seed=seed + 1)
    wanted = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    optimizer = torch.optim.AdamW(wanted, lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    draws = torch.Generator().manual_seed(seed + 1)
    first = PROMPT.split().index("<image>")
    grid = slice(first, first + 16)
    loss = torch.zeros(())
    for step in range(steps):
        rows = [text_row(s, index) for s in stream[step * 32 : (step + 1) * 32]]
        ids = torch.tensor(rows)
        labels = ids.clone()
        labels[:, : ids.shape[1] - _caption_length()] = -100
        words_in = model.model.language_model.embed_tokens(ids)
        # Features of a picture will never be exactly a word; noise makes the language model read what is only near.
        noise = torch.randn(words_in[:, grid].shape, generator=draws) * words_in[:, grid].detach().std() * NOISE
        words_in = torch.cat([words_in[:, : grid.start], words_in[:, grid] + noise, words_in[:, grid.stop :]], dim=1)
        hidden = model.model.language_model(inputs_embeds=words_in, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden)
        loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
        _step(optimizer, schedule, loss, wanted)
        _progress("language model, text alone", step, steps, loss)
    return float(loss.detach())


def train_tower(model: Any, processor: Any, steps: int, seed: int) -> float:  # transformers classes
    """Stage 2: per patch, which glyph? Read from the layer that LLaVA reads. Returns the last loss."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 2)
        readout = nn.Linear(WIDTH, len(GLYPHS) + 1)
    stream = scenes(steps * 32, held_out=False, seed=seed + 2)
    tower = model.model.vision_tower
    wanted = [*tower.parameters(), *readout.parameters()]
    optimizer = torch.optim.AdamW(wanted, lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.1)
    # Nearly every patch is empty; without weights the tower would learn to say so.
    weight = torch.ones(len(GLYPHS) + 1)
    weight[len(GLYPHS)] = 0.2
    loss = torch.zeros(())
    for step in range(steps):
        shown = stream[step * 32 : (step + 1) * 32]
        pixels = processor.image_processor([s.draw() for s in shown], return_tensors="pt")["pixel_values"]
        features = tower(pixel_values=pixels, output_hidden_states=True).hidden_states[-2][:, 1:]
        wanted_glyphs = torch.tensor([[len(GLYPHS) if g is None else g for g in s.grid()] for s in shown])
        loss = nn.functional.cross_entropy(readout(features).flatten(0, 1), wanted_glyphs.flatten(), weight=weight)
        _step(optimizer, schedule, loss, wanted)
        _progress("vision tower, glyph per patch", step, steps, loss)
    return float(loss.detach())


def prove(folder: Path) -> dict[str, dict[str, float]]:
    """Runs every lesson as a burst on the weights in a folder; lesson -> loss, attributes, captions, seconds."""
    table: dict[str, dict[str, float]] = {}
    for name, rules in LESSONS.items():
        demo = load_demo(folder)
        before = _loss_before(demo)
        began = time.perf_counter()
        lr = dict.fromkeys(rules, LESSON_LR)
        result = Burst(demo.model, {**rules}, demo.batches, steps=LESSON_STEPS, lr=LESSON_LR).run()
        seconds = time.perf_counter() - began
        with result.applied():
            attributes, captions = demo.score()
        table[name] = {
            "loss before": round(before, 3),
            "loss after": round(result.history[-1].loss, 3),
            "attributes right": round(attributes, 3),
            "captions right": round(captions, 3),
            "seconds": round(seconds, 1),
            "lr": next(iter(lr.values())),
        }
    return table


def write(model: Any, processor: Any, folder: Path) -> None:  # transformers classes
    """Saves a folder that ``from_pretrained`` and ``AutoProcessor`` of every supported release read."""
    folder.mkdir(parents=True, exist_ok=True)
    model.config._name_or_path = ""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    file = folder / "model.safetensors"
    safetensors_files.save(
        file, {published_name(name): tensor for name, tensor in safetensors_files.load(file).items()}
    )


def published_name(name: str) -> str:
    """The name of a tensor as in the published LLaVA checkpoints, which every release of transformers reads.

    From 5.6.0 on transformers saves ``vision_tower.embeddings...``, which releases before it take for a missing tower;
    ``vision_tower.vision_model.embeddings...`` is understood by all.
    """
    tower, inner = "vision_tower.", "vision_tower.vision_model."
    return inner + name.removeprefix(tower) if name.startswith(tower) and not name.startswith(inner) else name


def _report(table: dict[str, dict[str, float]]) -> bool:
    for name, row in table.items():
        print(f"{name:<28}" + "  ".join(f"{key} {value:g}" for key, value in row.items()))
    best = table["projector only"]["attributes right"]
    rest = [row["attributes right"] for name, row in table.items() if name != "projector only"]
    good = best >= _LEAST_RIGHT and all(best - other >= _LEAST_GAP for other in rest)
    if not good:
        print(f"The lesson does not hold: expected {_LEAST_RIGHT:.0%} and a gap of {_LEAST_GAP:.0%}.", file=sys.stderr)
    return good


def _loss_before(demo: Demo) -> float:
    with torch.no_grad():
        return float(demo.model(**demo.batches[0]).loss)


def _caption_length() -> int:
    """Words of a caption and the end token; all captions are equally long, so text rows need no padding."""
    return len(scenes(1, held_out=False, seed=0)[0].caption.split()) + 1


def _step(optimizer: torch.optim.Optimizer, schedule: Any, loss: torch.Tensor, wanted: list[nn.Parameter]) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(wanted, 1.0)
    optimizer.step()
    schedule.step()


def _progress(what: str, step: int, steps: int, loss: torch.Tensor) -> None:
    if (step + 1) % 50 == 0 or step + 1 == steps:
        end = "\n" if step + 1 == steps else "\r"
        print(f"{what}: step {step + 1}/{steps}, loss {float(loss.detach()):.4f}", end=end, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
