"""The optimizer with one group per component, its schedule, and the precision that a step computes in. Stepping is elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ..apply.apply import AppliedModel
from ..apply.master_weights import MasterWeights
from ..settings import BurstSettings


def make_optimizer(applied: AppliedModel, masters: MasterWeights, settings: BurstSettings) -> torch.optim.Optimizer:
    """A fresh optimizer that holds exactly what trains; old momentum would move weights that were frozen since.

    Raises:
        MissingLibrary: "adamw8bit" without bitsandbytes.
    """
    groups = applied.optimizer_groups
    for group in groups:
        group["params"] = [masters.of(p) for p in group["params"]]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=groups[0]["lr"], momentum=settings.momentum)
    if settings.optimizer == "adafactor":
        return torch.optim.Adafactor(groups)
    if settings.optimizer == "adamw8bit":
        from ...adapters import bitsandbytes_optimizers

        eight_bit: torch.optim.Optimizer = bitsandbytes_optimizers.adamw8bit(groups, settings.betas, settings.eps)
        return eight_bit
    return torch.optim.AdamW(groups, betas=settings.betas, eps=settings.eps)


def make_schedule(optimizer: torch.optim.Optimizer, settings: BurstSettings) -> Any:  # LRScheduler or None
    """The schedule of transformers by its name; None for a constant rate."""
    if settings.scheduler == "constant":
        return None
    from ...adapters import transformers_schedules

    return transformers_schedules.make_schedule(settings.scheduler, optimizer, settings.warmup_steps, settings.steps)


def make_scaler(precision: str, settings: BurstSettings, device: torch.device) -> torch.amp.GradScaler | None:
    """Scales the loss of a float16 step so that small gradients do not become zero; None for the other precisions."""
    return torch.amp.GradScaler(device.type, init_scale=settings.loss_scale) if precision == "fp16" else None


def rates_of(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Component -> learning rate; the highest where a component has several groups, LoRA+'s lora_B apart."""
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        if group.get("is_faster"):
            continue
        rates[group["component"]] = max(float(group["lr"]), rates.get(group["component"], 0.0))
    return rates


_AUTOCAST = {"bf16-mixed": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Makes the context of a forward pass."""
    dtype = _AUTOCAST.get(precision)
    return nullcontext if dtype is None else lambda: torch.autocast(device.type, dtype)
