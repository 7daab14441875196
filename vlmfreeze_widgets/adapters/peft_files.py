"""A burst's result as an adapter in PEFT's standard form, which plain ``PeftModel.from_pretrained`` loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ..core.components import is_below
from ..core.plan import Plan
from . import safetensors_files
from .peft_lora import TENSORS, lora_config


def save(folder: Path, model: nn.Module, plan: Plan, trained: Mapping[str, torch.Tensor]) -> list[str]:
    """Writes adapter_config.json and adapter_model.safetensors as PEFT itself would.

    Parameters trained in full travel as ``modules_to_save``, whole modules at a time; values that did not train are taken
    from the (reverted) model.

    Args:
        folder: Exists.
        model: The base model, without adapters.
        plan: What was applied; has LoRA targets.
        trained: "<module>.lora_A" and base parameter names -> values.

    Returns:
        Names of trained parameters that PEFT's form cannot carry: bare parameters on a module that holds adapters, such as
        BLIP-2's query tokens. They are written to trained.safetensors beside it.
    """
    saved_modules = _modules_with_full_parameters(plan)
    config = lora_config(model, plan.lora_targets, saved_modules)
    config.base_model_name_or_path = str(getattr(getattr(model, "config", None), "_name_or_path", "") or "") or None
    config.inference_mode = True
    config.save_pretrained(str(folder))
    tensors: dict[str, torch.Tensor] = {}
    for path in plan.lora_targets:
        kind = plan.tree.by_path[path].adaptable
        embedding = kind == "embedding"
        saved_as = _nested_path(plan, path) if kind == "experts" else path
        for attribute, name in TENSORS.items():
            if f"{path}.{name}" in trained and attribute.startswith("lora_embedding") == (
                embedding and name != "lora_magnitude_vector"
            ):
                # PEFT drops the adapter's name on saving; only layers, not bare embedding adapters, have a ".weight".
                suffix = "" if embedding or name == "lora_magnitude_vector" else ".weight"
                tensors[f"base_model.model.{saved_as}.{attribute}{suffix}"] = (
                    trained[f"{path}.{name}"].contiguous().clone()
                )
    names = {id(p): n for n, p in model.named_parameters()}
    for path in saved_modules:
        for name, value in model.get_submodule(path).state_dict(prefix=f"{path}.", keep_vars=True).items():
            now = trained.get(names.get(id(value), name), value)
            tensors[f"base_model.model.{name}"] = now.detach().cpu().contiguous().clone()
    safetensors_files.save(folder / "adapter_model.safetensors", tensors)
    # PEFT writes sets; sorted lists make the file the same every time.
    config_file = folder / "adapter_config.json"
    written = json.loads(config_file.read_text(encoding="utf-8"))
    if isinstance(written.get("target_modules"), list):
        written["target_modules"] = sorted(written["target_modules"])
    config_file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    rest = [n for n in sorted(plan.trainable) if not any(is_below(n, path) for path in saved_modules)]
    if rest:
        safetensors_files.save(folder / "trained.safetensors", {name: trained[name] for name in rest})
    return rest


def _nested_path(plan: Plan, path: str) -> str:
    """Where PEFT keeps the adapter of a stack of experts: the first parameter of a module lies innermost."""
    holder = path.rpartition(".")[0]
    siblings = [p.name for p in plan.tree[holder].parameters if p.name in plan.lora_targets]
    return holder + ".base_layer" * (len(siblings) - 1 - siblings.index(path))


def _modules_with_full_parameters(plan: Plan) -> list[str]:
    """Modules that can travel whole as ``modules_to_save``: PEFT wraps neither the root nor anything with an adapter in it."""
    holders = sorted({name.rpartition(".")[0] for name in plan.trainable}, key=lambda path: path.count("."))
    kept: list[str] = []
    for path in holders:
        around_adapter = any(is_below(target, path) for target in plan.lora_targets)
        if path and not around_adapter and not any(is_below(path, k) for k in kept):
            kept.append(path)
    return kept
