"""Which weights LoRA can be merged into: those whose layer holds a plain float tensor that the sum is written to.

A packed weight (bitsandbytes, torchao, HQQ, GPTQ, AWQ, FP8, ...) would have to be quantized again. It lies on its own grid, so an
update smaller than half a step of the grid rounds back to the weight of before: on a 4-bit model the whole training is lost.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ...core.errors import CannotMerge
from ..model.quantized import packed_weight

_PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def not_mergeable(model: nn.Module, targets: Iterable[str]) -> dict[str, str]:
    """What stands against merging, by what each layer holds; the class of a layer is not asked.

    Args:
        model: Without adapters.
        targets: Keys of a plan's ``lora_targets``: paths of modules, or names of stacked parameters.

    Returns:
        Target -> what it holds, such as "Params4bit of uint8"; empty where everything can be merged.
    """
    found: dict[str, str] = {}
    modules = dict(model.named_modules())
    for target in targets:
        path, name = (target, "weight") if target in modules else (target.rpartition(".")[0], target.rpartition(".")[2])
        held = _held_instead(modules[path], name)
        if held is not None:
            found[target] = held
    return found


def check_mergeable(model: nn.Module, targets: Iterable[str]) -> None:
    """Raises where merging would lose what was trained.

    Raises:
        CannotMerge: Names the weights and the ways that lose nothing.
    """
    held = not_mergeable(model, targets)
    if not held:
        return
    first = next(iter(held))
    raise CannotMerge(
        f"LoRA cannot be merged into {len(held)} weights without losing what was trained.",
        expected="float32, bfloat16 or float16 weights",
        found=f"{held[first]} in {first}",
        remedy="Keep the adapters beside the weights: result.keep(), or result.save(folder). For a merged model, load the base "
        "unquantized and PeftModel.from_pretrained(base, folder).merge_and_unload().",
    )


def _held_instead(module: nn.Module, name: str) -> str | None:
    """What a module holds in place of a plain float parameter; None where it holds one."""
    parameter = module._parameters.get(name)
    if parameter is None:
        packed = packed_weight(module)
        # A weight that is computed anew at every call (weight_norm, a parametrization) would not remember the sum either.
        return f"{packed.dtype} in buffers" if packed is not None else f"no parameter called {name}"
    dtype = str(parameter.dtype).removeprefix("torch.")
    if type(parameter) is not nn.Parameter:
        return f"{type(parameter).__name__} of {dtype}"
    return None if parameter.dtype in _PLAIN else dtype
