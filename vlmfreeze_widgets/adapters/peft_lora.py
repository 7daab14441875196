"""LoRA through PEFT: adapters put into a model. Merging is in ``peft_merge``, files in ``peft_files``; undoing is the engine's."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import Any

import torch
from torch import nn

from ..core.strategy.tuning import Lora
from .peft_conversions import conversion_of
from .peft_places import ADAPTER, INNER, Unnamed, check_adapted

# PEFT's attribute -> our name of the tensor; Embedding adapters are bare parameters, the others small layers.
TENSORS = {
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
        ModelNotTrainable: PEFT adapted something else than the targets; the model carries that then, and has to be restored.
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
        for attribute, name in TENSORS.items():
            parameter = _tensor_of(layer, attribute)
            if parameter is not None:
                if parameter.dtype in (torch.float16, torch.bfloat16):
                    parameter.data = parameter.data.float()
                found[f"{path}.{name}"] = parameter
    return found


def lora_config(model: nn.Module, targets: Mapping[str, Lora], modules_to_save: Iterable[str] = ()) -> Any:
    """The ``peft.LoraConfig`` that adapts exactly the targets, also where the PEFT here rewrites targets of the model's type.

    There a layer is named by its weight, as a parameter: B·A on the weight is LoRA on the layer, and its tensors have the same
    names. With dropout or DoRA PEFT refuses that, and then has no form that adapts the targets of such a model.
    """
    from peft import LoraConfig

    (rank, alpha), _ = Counter((lora.rank, lora.alpha) for lora in targets.values()).most_common(1)[0]
    first = next(iter(targets.values()))
    every_name = [name for name, _ in model.named_modules()]
    stacks = set(targets) - set(every_name)
    paths = [path for path in targets if path not in stacks]
    rule = conversion_of(str(getattr(getattr(model, "config", None), "model_type", "") or ""))
    apart: set[str] = set()
    if rule is not None and not first.dropout and not first.use_dora:
        apart = {path for path in paths if path.rpartition(".")[2] in rule.renamed}
        paths = [path for path in paths if path not in apart]
    keys = {path: _anchored(f"{path}.weight" if path in apart else path) for path in targets}
    # A name in a list also matches as a suffix; where that would leak, an anchored pattern is exact.
    leaks = rule is None and _is_suffix_elsewhere(set(paths), (name for name in every_name if name not in targets))
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # PEFT annotates int and computes with any number
        target_modules="|".join(re.escape(p) for p in paths) if leaks else paths,
        # Stacked experts are parameters, not modules.
        target_parameters=[f"{p}.weight" if p in apart else p for p in targets if p in stacks or p in apart] or None,
        rank_pattern={keys[p]: lora.rank for p, lora in targets.items() if lora.rank != rank},
        alpha_pattern={keys[p]: lora.alpha for p, lora in targets.items() if lora.alpha != alpha},
        lora_dropout=first.dropout,
        use_dora=first.use_dora,
        use_rslora=first.use_rslora,
        modules_to_save=list(modules_to_save) or None,
        bias="none",
    )


def default_targets(model_type: str) -> list[str] | None:
    """The target modules that PEFT takes for a model type when none are given; None where it has no default."""
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

    found = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(model_type)
    return None if found is None else list(found)


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


def _tensor_of(layer: nn.Module, attribute: str) -> nn.Parameter | None:
    held = getattr(layer, attribute, None)
    if held is None or ADAPTER not in held:
        return None
    found = held[ADAPTER]
    return found if isinstance(found, nn.Parameter) else found.weight


def _is_suffix_elsewhere(paths: Set[str], names: Iterable[str]) -> bool:
    """Whether a name ends in a dot and one of the paths; each ending is looked up, since a large model has thousands of both."""
    for name in names:
        dot = name.find(".")
        while dot >= 0:
            if name[dot + 1 :] in paths:
                return True
            dot = name.find(".", dot + 1)
    return False


def _anchored(path: str) -> str:
    """PEFT searches pattern keys with ``(.*\\.)?key$``; the caret keeps a path from matching as a suffix."""
    return "^" + re.escape(path)
