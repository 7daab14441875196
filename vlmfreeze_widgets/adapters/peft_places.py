"""Where PEFT puts adapters: how it is made to take places as they are written, and the proof that it did. Making and saving the
adapters is in ``peft_lora``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import Any

from torch import nn

from ..core.errors import ModelNotTrainable
from ..core.strategy.tuning import Lora

ADAPTER = "default"
INNER = "_"


class Unnamed(nn.Module):
    """A model without its model type, so that PEFT takes the targets as they are written.

    From 0.19 on PEFT rewrites targets called gate, gate_proj, up_proj or down_proj for about 25 model types (GLM-4.5V,
    Qwen3-Omni-MoE, ...) into stacks of experts at twice the rank, also where a whole path names one dense layer (peft#3711).
    What PEFT needs to know of a quantized model is passed on.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.add_module(INNER, model)
        for name in ("is_loaded_in_8bit", "is_loaded_in_4bit", "hf_quantizer", "quantization_method"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))
        self.config = _ConfigOf(getattr(model, "config", None))


class _ConfigOf(dict[str, Any]):
    """Nothing but how the weights are quantized."""

    def __init__(self, config: object) -> None:
        super().__init__()
        if hasattr(config, "quantization_config"):
            self.quantization_config = config.quantization_config


def adapters_in(model: nn.Module) -> dict[str, tuple[int, float]]:
    """Place -> (rank, scaling) of every adapter that a model carries, in the words of a plan's ``lora_targets``."""
    from peft.tuners.lora import LoraLayer

    found = {}
    for path, layer in model.named_modules():
        if not isinstance(layer, LoraLayer) or ADAPTER not in layer.r:
            continue
        place, parameter = path, getattr(layer, "parameter_name", None)
        # Several adapted parameters of one module are wrappers in wrappers. A module may be called base_layer by itself.
        while parameter and place.endswith(".base_layer"):
            around = model.get_submodule(place.removesuffix(".base_layer"))
            if not isinstance(around, LoraLayer) or not getattr(around, "parameter_name", None):
                break
            place = place.removesuffix(".base_layer")
        found[f"{place}.{parameter}" if parameter else place] = (layer.r[ADAPTER], float(layer.scaling[ADAPTER]))
    return found


def check_adapted(model: nn.Module, targets: Mapping[str, Lora]) -> None:
    """Proves that PEFT adapted what the plan says.

    Args:
        model: With adapters.
        targets: Place -> LoRA.

    Raises:
        ModelNotTrainable: It adapted other places, or at another rank or scale.
    """
    found = adapters_in(model)
    extra = sorted(found.keys() - targets.keys())
    missing = sorted(targets.keys() - found.keys())
    other = [
        path
        for path, (rank, scaling) in found.items()
        if path in targets and (rank != targets[path].rank or not isclose(scaling, targets[path].scaling))
    ]
    if extra or missing or other:
        raise ModelNotTrainable(
            "PEFT adapts other modules than the plan says.",
            expected=f"LoRA on {len(targets)} modules, at their rank and alpha",
            found=f"{len(found)} adapted: {len(missing)} missing, {len(extra)} besides, {len(other)} at another rank or scale, "
            f"such as {[*missing, *extra, *other][0]}",
            remedy="Nothing was changed. Report this with the versions of peft and transformers, and try another peft.",
        )
