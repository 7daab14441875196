"""A burst's result as an adapter in PEFT's standard form, which plain ``PeftModel.from_pretrained`` loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.strategy.plan import Plan
from . import safetensors_files
from .peft_layout import PREFIX, FullParts, full_parts
from .peft_lora import TENSORS, lora_config


def save(folder: Path, model: nn.Module, plan: Plan, trained: Mapping[str, torch.Tensor]) -> list[str]:
    """Writes adapter_config.json and adapter_model.safetensors as PEFT itself would.

    Parameters trained in full travel as ``modules_to_save``, whole modules at a time and under every name of a shared tensor;
    values that did not train are taken from the (reverted) model. What no module can carry lies in the same file under its own
    name, which ``PeftModel.from_pretrained`` loads too. trained.safetensors has these and the shared tensors, for loaders that
    do not, and where a shared tensor is to be in the base once.

    Args:
        folder: Exists.
        model: The base model, with or without adapters.
        plan: What was applied; has LoRA targets.
        trained: "<module>.lora_A" and base parameter names -> values.

    Returns:
        What lies in trained.safetensors: parameters that no module can carry, such as BLIP-2's query tokens, and shared ones.
    """
    parts = full_parts(model, plan.trainable, plan.lora_targets)
    config = saved_config(model, plan, parts)
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
                tensors[f"{PREFIX}{saved_as}.{attribute}{suffix}"] = trained[f"{path}.{name}"].contiguous().clone()
    canonical = {id(p): name.replace(".base_layer", "") for name, p in model.named_parameters()}
    for key, tensor in carried_tensors(model, parts).items():
        now = trained.get(canonical.get(id(tensor), key), tensor)
        tensors[PREFIX + key] = now.detach().cpu().contiguous().clone()
    tensors |= {PREFIX + there: trained[name].contiguous().clone() for name, there in parts.loose.items()}
    safetensors_files.save(folder / "adapter_model.safetensors", tensors)
    # PEFT writes sets; sorted lists make the file the same every time.
    config_file = folder / "adapter_config.json"
    written = json.loads(config_file.read_text(encoding="utf-8"))
    if isinstance(written.get("target_modules"), list):
        written["target_modules"] = sorted(written["target_modules"])
    config_file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    extra = sorted((*parts.loose, *parts.shared))
    if extra:
        safetensors_files.save(folder / "trained.safetensors", {name: trained[name] for name in extra})
    return extra


def saved_config(model: nn.Module, plan: Plan, parts: FullParts) -> Any:  # a peft.LoraConfig
    """The config of a folder: what is adapted, what is carried whole, and which base it belongs to."""
    config = lora_config(model, plan.lora_targets, parts.modules)
    config.base_model_name_or_path = str(getattr(getattr(model, "config", None), "_name_or_path", "") or "") or None
    config.inference_mode = True
    # PEFT copies each module that it carries; so asked, the copies of a shared tensor stay one.
    config.ensure_weight_tying = parts.tied
    return config


def carried_tensors(model: nn.Module, parts: FullParts) -> dict[str, torch.Tensor]:
    """Key -> tensor in the model, of every module that PEFT carries whole. A shared tensor stands under each of its names."""
    found: dict[str, torch.Tensor] = {}
    for path in parts.matched:
        found |= model.get_submodule(path).state_dict(prefix=f"{path}.", keep_vars=True)
    return found


def _nested_path(plan: Plan, path: str) -> str:
    """Where PEFT keeps the adapter of a stack of experts: the first parameter of a module lies innermost."""
    holder = path.rpartition(".")[0]
    siblings = [p.name for p in plan.tree[holder].parameters if p.name in plan.lora_targets]
    return holder + ".base_layer" * (len(siblings) - 1 - siblings.index(path))
