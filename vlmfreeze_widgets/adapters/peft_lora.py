"""LoRA through PEFT: adapters put into a model, merged, and saved in PEFT's standard form. Undoing is the engine's affair."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..core.components import is_below
from ..core.plan import Plan
from ..core.tuning import Lora
from . import safetensors_files
from .peft_places import ADAPTER, INNER, Unnamed, check_adapted

# PEFT's attribute -> our name of the tensor; Embedding adapters are bare parameters, the others small layers.
_TENSORS = {
    "lora_A": "lora_A",
    "lora_B": "lora_B",
    "lora_embedding_A": "lora_A",
    "lora_embedding_B": "lora_B",
    "lora_magnitude_vector": "lora_magnitude_vector",
}


def inject(model: nn.Module, targets: Mapping[str, Lora]) -> dict[str, nn.Parameter]:
    """Wraps the targets in PEFT's LoRA layers.

    Args:
        model: Changed in place; its base weights are not.
        targets: Module path -> LoRA. All with the same dropout, DoRA and rslora.

    Returns:
        "<module>.lora_A" and the like -> the new parameter. In float32 even beside half-precision weights.

    Raises:
        ModelNotTrainable: PEFT adapted something else than the targets; the model carries that then, and is to be given back.
    """
    from peft import inject_adapter_in_model

    outer = Unnamed(model)
    with warnings.catch_warnings():
        # PEFT warns about tied and embedding targets at every injection; the plan has said what matters.
        warnings.simplefilter("ignore")
        within = {f"{INNER}.{path}": lora for path, lora in targets.items()}
        inject_adapter_in_model(lora_config(outer, within), outer, adapter_name=ADAPTER)
    check_adapted(model, targets)
    # PEFT leaves its config on what it injected into, and PEFT, transformers and trainers look for it on the model.
    model.peft_config = {ADAPTER: lora_config(model, targets)}  # type: ignore[assignment]
    found: dict[str, nn.Parameter] = {}
    for path in targets:
        layer, _ = adapted_layer(model, path)
        for attribute, name in _TENSORS.items():
            parameter = _tensor_of(layer, attribute)
            if parameter is not None:
                if parameter.dtype in (torch.float16, torch.bfloat16):
                    parameter.data = parameter.data.float()
                found[f"{path}.{name}"] = parameter
    return found


def lora_config(model: nn.Module, targets: Mapping[str, Lora], modules_to_save: Iterable[str] = ()) -> Any:  # noqa: ANN401
    """The ``peft.LoraConfig`` that adapts exactly the targets."""
    from peft import LoraConfig

    (rank, alpha), _ = Counter((lora.rank, lora.alpha) for lora in targets.values()).most_common(1)[0]
    first = next(iter(targets.values()))
    every_name = [name for name, _ in model.named_modules()]
    stacks = set(targets) - set(every_name)
    paths = [path for path in targets if path not in stacks]
    # A name in a list also matches as a suffix; where that would leak, an anchored pattern is exact.
    leaks = any(name.endswith(f".{path}") for path in paths for name in every_name if name not in targets)
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # PEFT annotates int and computes with any number
        target_modules="|".join(re.escape(p) for p in paths) if leaks else paths,
        # Stacked experts are parameters, not modules.
        target_parameters=[path for path in targets if path in stacks] or None,
        rank_pattern={_anchored(p): lora.rank for p, lora in targets.items() if lora.rank != rank},
        alpha_pattern={_anchored(p): lora.alpha for p, lora in targets.items() if lora.alpha != alpha},
        lora_dropout=first.dropout,
        use_dora=first.use_dora,
        use_rslora=first.use_rslora,
        modules_to_save=list(modules_to_save) or None,
        bias="none",
    )


def default_targets(model_type: str) -> list[str] | None:
    """The target modules that PEFT takes for a model type when none are given; None where it has no default."""
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    return TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model_type)


def adapted_layer(model: nn.Module, path: str) -> tuple[Any, str]:
    """The PEFT layer around a target, and its path.

    Several adapted parameters of one module are nested wrappers: ``experts`` around ``experts.base_layer``.

    Args:
        model: With adapters, in place.
        path: A key of the plan's ``lora_targets``: a module's path or a parameter's name.
    """
    holder, _, name = path.rpartition(".")
    try:
        return model.get_submodule(path), path
    except AttributeError:
        layer: Any = model.get_submodule(holder)
    while getattr(layer, "parameter_name", name) != name:
        layer, holder = layer.base_layer, f"{holder}.base_layer"
    return layer, holder


def merge(model: nn.Module, paths: Iterable[str]) -> None:
    """Adds each adapter's update to its base weight, in place; refuses NaN (PEFT's ``safe_merge``)."""
    for path in paths:
        adapted_layer(model, path)[0].merge(safe_merge=True)


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
        for attribute, name in _TENSORS.items():
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


def _tensor_of(layer: nn.Module, attribute: str) -> nn.Parameter | None:
    held = getattr(layer, attribute, None)
    if held is None or ADAPTER not in held:
        return None
    found = held[ADAPTER]
    return found if isinstance(found, nn.Parameter) else found.weight


def _anchored(path: str) -> str:
    """PEFT searches pattern keys with ``(.*\\.)?key$``; the caret keeps a path from matching as a suffix."""
    return "^" + re.escape(path)
