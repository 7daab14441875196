"""What a trainer left on a model, as JSON: which parameters train in full, where LoRA lies, at what rates and weight decays. Runs
in the trainers' environment, so nothing of this package is imported.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def tiny_model(config: dict[str, Any]) -> torch.nn.Module:
    """The case's model with random weights."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    torch.manual_seed(0)
    return AutoModelForImageTextToText.from_config(AutoConfig.for_model(**config))


def read(model: torch.nn.Module, optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    """What trains.

    Args:
        model: As the trainer left it, with or without PEFT around it.
        optimizer: The trainer's own; None where a library has none.
    """
    rates: dict[int, tuple[float, float]] = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in (optimizer.param_groups if optimizer is not None else ())
        for parameter in group["params"]
    }
    full: list[str] = []
    lora: dict[str, Any] = {}
    adapters: dict[int, str] = {}
    for path, module in model.named_modules():
        if "default" not in getattr(module, "lora_A", {}) and "default" not in getattr(module, "lora_embedding_A", {}):
            continue
        if ".original_module." in path:
            continue  # an adapter that was left in the frozen original of a copied module: never called
        plain = path.removeprefix("base_model.model.").replace(".modules_to_save.default", "")
        if getattr(module, "parameter_name", None):  # an adapter on a stack of experts, which is no module
            plain = f"{plain.replace('.base_layer', '')}.{module.parameter_name}"
        for side in ("lora_A", "lora_B"):
            for held in (getattr(module, side), getattr(module, side.replace("_", "_embedding_"), {})):
                if "default" in held:
                    tensors = (
                        held["default"].parameters() if isinstance(held, torch.nn.ModuleDict) else [held["default"]]
                    )
                    adapters.update({id(tensor): f"{plain}.{side}" for tensor in tensors})
        dropout = module.lora_dropout["default"]
        lora[plain] = {
            "rank": module.r["default"],
            "scaling": module.scaling["default"],
            "dropout": getattr(dropout, "p", 0.0),
            "dora": bool(module.use_dora.get("default", False)),
        }
    lr: dict[str, float | None] = {}
    decay: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or "lora_magnitude_vector" in name:
            continue  # the latter is DoRA's: one more tensor of the same adapter
        plain = (
            name.removeprefix("base_model.model.").replace(".modules_to_save.default", "").replace(".base_layer", "")
        )
        plain = adapters.get(id(parameter), plain)
        if id(parameter) not in adapters:
            full.append(plain)
        lr[plain] = None
        if id(parameter) in rates:
            lr[plain], decay[plain] = rates[id(parameter)]
    return {"full": sorted(full), "lora": lora, "lr": lr, "decay": decay}


def for_each(folder: Path, train: Callable[[Path, dict[str, Any]], dict[str, Any]]) -> None:
    """Runs ``train`` on every case and writes ``outcome.json`` beside it; what it raises is an outcome too."""
    for case in sorted(folder.iterdir()):
        try:
            found = train(case, json.loads((case / "case.json").read_text()))
        except (Exception, SystemExit) as error:  # argument parsers leave by SystemExit
            found = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-2000:]}
        (case / "outcome.json").write_text(json.dumps(found))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
