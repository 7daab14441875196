"""Recomputing activations in the backward pass. Switching it off again is part of giving the model back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..core.errors import ModelNotTrainable


def enable_checkpointing(model: nn.Module, kind: bool | str = True) -> None:
    """Switches recomputation on.

    Args:
        model: With its plan applied.
        kind: "reentrant", or anything else for the non-reentrant form, torch's recommendation.

    Raises:
        ModelNotTrainable: The model does not support it, or not in this form.
    """
    reentrant = kind == "reentrant"
    if reentrant and getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise ModelNotTrainable(
            "The reentrant form cannot recompute this model.",
            expected="a decoder, whose layers hand on one stream of hidden states",
            found="an encoder-decoder: the encoder's output comes by another way, and its gradient would be lost",
            remedy="Use checkpointing='non-reentrant'.",
        )
    for name, keyword in (
        ("activation_checkpointing_enable", "activation_checkpointing_kwargs"),
        ("gradient_checkpointing_enable", "gradient_checkpointing_kwargs"),
    ):
        if hasattr(model, name):
            getattr(model, name)(**{keyword: {"use_reentrant": reentrant}})
            break
    else:
        raise ModelNotTrainable(
            "This model cannot recompute activations.",
            expected="a transformers model that supports gradient checkpointing",
            found=type(model).__name__,
            remedy="Use checkpointing=False.",
        )
    if reentrant:
        for path, module in model.named_modules():
            if "_gradient_checkpointing_func" in vars(module):
                found = vars(module)["_gradient_checkpointing_func"]
                module._gradient_checkpointing_func = _behind_frozen_inputs(module, path, found)


def _behind_frozen_inputs(module: nn.Module, path: str, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The reentrant form gives no gradient to a layer none of whose inputs requires one (peft#1142, transformers#21381).

    Such an input is opened where the layer trains; where it does not, there is nothing to recompute. transformers' own remedy,
    opening the embeddings, would keep the activations of every frozen layer in between.
    """

    def run(function: Callable[..., Any], *args: Any) -> Any:  # noqa: ANN401 - whatever the layer takes and returns
        if any(isinstance(a, torch.Tensor) and a.requires_grad for a in args) and torch.is_grad_enabled():
            return checkpoint(function, *args)
        if not torch.is_grad_enabled() or not any(p.requires_grad for p in module.parameters()):
            return function(*args)
        opened = list(args)
        for i, value in enumerate(args):
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                opened[i] = value.detach().requires_grad_()
                return checkpoint(function, *opened)
        raise ModelNotTrainable(
            "The reentrant form cannot recompute this layer.",
            expected="hidden states as the first argument of the layer",
            found=f"{type(module).__name__} at {path!r}, which gets them by keyword",
            remedy="Use checkpointing='non-reentrant'.",
        )

    return run
