"""The structure of a model without its numbers: a copy on the meta device that another thread or process can trace while the
model itself trains. Tracing is in ``engine.cost.traced_step``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...core.cost.gpus import Device, find_known
from .wrappers import unwrap


def skeleton(model: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes and dtypes only; shared tensors stay shared. The model is not touched.

    Args:
        model: At rest: nothing else changes it meanwhile.
    """
    inner = unwrap(model)
    memo: dict[int, Any] = {}
    for parameter in inner.parameters():
        memo[id(parameter)] = nn.Parameter(_empty(parameter), requires_grad=False)
    for module in inner.modules():
        for buffer in module._buffers.values():
            if buffer is not None:
                memo.setdefault(id(buffer), _empty(buffer))
        for value in vars(module).values():
            if isinstance(value, torch.Tensor):
                memo.setdefault(id(value), _empty(value))
    made: nn.Module = copy.deepcopy(inner, memo)
    return made


def device_of(model: nn.Module | None) -> Device | None:
    """The GPU that a model is on, or that this machine has where there is no model; None without one.

    Speeds are those of the table where it has this GPU, else 0: then no time is known.
    """
    place = next((p.device for p in model.parameters()), None) if model is not None else None
    if not torch.cuda.is_available() or (place is not None and place.type != "cuda"):
        return None
    found = torch.cuda.get_device_properties(place if place is not None else torch.device("cuda", 0))
    known = find_known(found.name)
    speeds = (known.half_flops, known.single_flops, known.bandwidth) if known else (0.0, 0.0, 0.0)
    return Device(found.name, int(found.total_memory), *speeds)


def on_cpu(batch: Mapping[str, Any]) -> dict[str, Any]:
    """A batch without autograd's history, on the CPU."""
    return {k: v.detach().cpu() if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tuple(tensor.shape), tensor.stride(), dtype=tensor.dtype, device="meta")
