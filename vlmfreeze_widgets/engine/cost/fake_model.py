"""A copy of a model whose tensors are fake: nothing is allocated, and the model itself is not touched.

The plan is put on the copy as ``engine.apply.apply`` puts it on the model: adapters, flags, modes, recomputation.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from ...core.strategy.plan import Plan
from ..apply.activation_checkpointing import close_frozen_inputs, enable_checkpointing
from ..apply.modes import train_what_trains


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


def put_plan(
    model: nn.Module,
    plan: Plan,
    fakes: FakeTensorMode,
    checkpointing: bool | str = False,
    adapters: torch.dtype = torch.float32,
) -> dict[str, nn.Parameter]:
    """Adapters, flags, modes and recomputation, as a burst sets them.

    Args:
        model: From ``fake_copy``; changed in place.
        plan: Of its tree.
        fakes: Makes the adapters' tensors.
        checkpointing: As in the settings of a burst.
        adapters: Their dtype: float32, but for "bf16-pure".

    Returns:
        The parameters that train, by the names of the plan.
    """
    named = dict(model.named_parameters())
    trained: dict[str, nn.Parameter] = {name: named[name] for name in sorted(plan.trainable)}
    if plan.lora_targets:
        with torch.device("meta"), _norms_on_meta(model, plan):
            from ...adapters import peft_lora

            added = peft_lora.inject(model, plan.lora_targets)
        trained |= _faked(model, added, fakes, adapters)
    wanted = {id(p) for p in trained.values()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in wanted)
    close_frozen_inputs(model)
    train_what_trains(model)
    if checkpointing:
        enable_checkpointing(model, checkpointing)
        train_what_trains(model)
    return trained


@contextmanager
def _norms_on_meta(model: nn.Module, plan: Plan) -> Iterator[None]:
    """DoRA starts from the norms of base weights: while it does, these lie where its adapters are made."""
    adapted = [model.get_submodule(path) for path, lora in plan.lora_targets.items() if lora.use_dora]
    kept = [(module, module._parameters["weight"]) for module in adapted]
    for module, weight in kept:
        assert weight is not None
        there = torch.empty(tuple(weight.shape), dtype=weight.dtype, device="meta")
        module._parameters["weight"] = nn.Parameter(there, requires_grad=False)
    try:
        yield
    finally:
        for module, weight in kept:
            module._parameters["weight"] = weight


def _fake_like(tensor: torch.Tensor, fakes: FakeTensorMode, dtype: torch.dtype) -> torch.Tensor:
    with fakes:
        return torch.empty_strided(tuple(tensor.shape), tensor.stride(), dtype=dtype, device="cpu")


def _faked(
    model: nn.Module, added: dict[str, nn.Parameter], fakes: FakeTensorMode, dtype: torch.dtype
) -> dict[str, nn.Parameter]:
    """Adapters were made on meta, where drawing their start values costs nothing; they join the rest of the copy."""
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.is_meta and not isinstance(parameter, FakeTensor):
                if id(parameter) not in made:
                    made[id(parameter)] = nn.Parameter(_fake_like(parameter, fakes, dtype))
                module._parameters[name] = made[id(parameter)]
    return {name: made[id(parameter)] for name, parameter in added.items()}
