"""A copy of a model whose tensors are fake: nothing is allocated, and the model itself is not touched.

The plan is put on the copy as ``engine.apply`` puts it on the model: adapters, flags, modes, recomputation.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..core.plan import Plan
from ..core.ports import port
from .checkpointing import enable_checkpointing
from .modes import train_what_trains


def fake_copy(model: nn.Module, fakes: FakeTensorMode, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy on fake tensors of the CPU; shared tensors stay shared.

    Args:
        model: Real or on meta.
        fakes: Makes the tensors.
        dtype: Of floating-point parameters; None: as they are.
    """
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        wanted = dtype if dtype is not None and parameter.is_floating_point() else parameter.dtype
        memo[id(parameter)] = nn.Parameter(_fake_like(parameter, fakes, wanted), requires_grad=False)
    for module in model.modules():
        for buffer in module._buffers.values():
            if buffer is not None and id(buffer) not in memo:
                memo[id(buffer)] = _fake_like(buffer, fakes, buffer.dtype)
    for tensor in (t for m in model.modules() for t in vars(m).values() if isinstance(t, torch.Tensor)):
        memo.setdefault(id(tensor), _fake_like(tensor, fakes, tensor.dtype))
    made: nn.Module = copy.deepcopy(model, memo)
    return made


def put_plan(model: nn.Module, plan: Plan, checkpointing: bool | str) -> dict[str, nn.Parameter]:
    """Adapters, flags, modes and recomputation, as a burst sets them.

    Args:
        model: From ``fake_copy``; changed in place.
        plan: Of its tree.
        checkpointing: As in the settings of a burst.

    Returns:
        The parameters that train, by the names of the plan.
    """
    named = dict(model.named_parameters())
    trained: dict[str, nn.Parameter] = {name: named[name] for name in sorted(plan.trainable)}
    if plan.lora_targets:
        trained |= port("lora").inject(model, plan.lora_targets)
    wanted = {id(p) for p in trained.values()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
    train_what_trains(model)
    if checkpointing:
        enable_checkpointing(model, checkpointing)
        train_what_trains(model)
    return trained


def _fake_like(tensor: torch.Tensor, fakes: FakeTensorMode, dtype: torch.dtype) -> torch.Tensor:
    with fakes:
        return torch.empty_strided(tuple(tensor.shape), tensor.stride(), dtype=dtype, device="cpu")
