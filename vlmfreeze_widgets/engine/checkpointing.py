"""Recomputing activations in the backward pass. Switching it off again is part of giving the model back."""

from __future__ import annotations

from torch import nn

from ..core.errors import ModelNotTrainable


def enable_checkpointing(model: nn.Module) -> None:
    """Non-reentrant: the reentrant form gives no gradient behind frozen inputs (peft#1142)."""
    for name, keyword in (
        ("activation_checkpointing_enable", "activation_checkpointing_kwargs"),
        ("gradient_checkpointing_enable", "gradient_checkpointing_kwargs"),
    ):
        if hasattr(model, name):
            getattr(model, name)(**{keyword: {"use_reentrant": False}})
            return
    raise ModelNotTrainable(
        "This model cannot recompute activations.",
        expected="a transformers model that supports gradient checkpointing",
        found=type(model).__name__,
        remedy="Use checkpointing=False.",
    )
