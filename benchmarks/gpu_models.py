"""Published models with random weights, made where they run, and batches of noise for them; and what a machine is called.

No figure is measured here. Configs come from the catalogue in the package, so nothing is downloaded.
"""

from __future__ import annotations

import json
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

import vlmfreeze_widgets as vf
from tests import where
from tests.families import tiny, tiny_batch
from vlmfreeze_widgets.adapters.transformers_configs import find_config
from vlmfreeze_widgets.adapters.transformers_models import auto_class
from vlmfreeze_widgets.engine.cost.traced_step import made_batch

RESULTS = Path(__file__).resolve().parent / "results"
LORA = vf.Lora(rank=16)


def published(name: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """A checkpoint of the catalogue, or ``tiny:<family>`` of the tests, with random weights."""
    torch.manual_seed(0)
    if name.startswith("tiny:"):
        where.DEVICE = device
        return tiny(name.removeprefix("tiny:")).to(dtype)
    config = find_config(name).config
    with torch.device(device):
        model = auto_class(config).from_config(config, trust_remote_code=False, dtype=dtype, attn_implementation="sdpa")
    return model.train()


def noise(model: nn.Module, name: str, rows: int, device: torch.device, text_tokens: int = 256) -> dict[str, Any]:
    """A batch with one picture of noise and some random words per row, on the host as a loader gives it."""
    dtype = next(p.dtype for p in model.parameters() if p.is_floating_point())
    if name.startswith("tiny:"):
        made = {k: v.cpu() for k, v in tiny_batch(name.removeprefix("tiny:"), batch=rows).items()}
        return {k: v.to(dtype) if v.is_floating_point() else v for k, v in made.items()}
    with torch.device("meta"):
        skeleton = auto_class(model.config).from_config(model.config, trust_remote_code=False, dtype=dtype)
    made = made_batch(skeleton, rows, None, text_tokens, dtype)
    draw = torch.Generator().manual_seed(1)
    words = made["labels"] != -100
    made["input_ids"] = torch.where(
        words, torch.randint(5, 1000, made["input_ids"].shape, generator=draw), made["input_ids"]
    )
    made["labels"] = torch.where(words, made["input_ids"], -100)
    made["pixel_values"] = torch.randn(made["pixel_values"].shape, generator=draw).to(dtype)
    return {k: v.pin_memory() if device.type == "cuda" else v for k, v in made.items()}


def text_only(batch: dict[str, Any]) -> dict[str, Any]:
    """The same words without the pictures."""
    kept = {k: batch[k].clone() for k in ("input_ids", "attention_mask", "labels")}
    kept["input_ids"][kept["labels"] == -100] = 5
    return kept


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on and with."""
    packages = ("torch", "transformers", "peft", "accelerate")
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {platform.machine()}",
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    if device.type == "cuda":
        found["cuda"] = torch.version.cuda
        found["memory_gib"] = round(torch.cuda.get_device_properties(device).total_memory / 2**30, 1)
    return found


def write(path: Path, report: dict[str, Any]) -> None:
    """Writes a report, as soon as there is something in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
