"""Recomputing activations in the backward pass. Switching it off again is part of giving the model back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ...core.errors import ModelNotTrainable
from .open_inputs import remove_input_hooks


def enable_checkpointing(model: nn.Module, kind: bool | str = True) -> None:
    """Switches recomputation on. What is frozen keeps no graph: hooks that transformers puts on its inputs are removed.

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
    close_frozen_inputs(model)


def close_frozen_inputs(model: nn.Module) -> None:
    """No module but those that train, and those behind them, carries a graph, however recomputation was switched on.

    Args:
        model: With its plan applied; perhaps with ``enable_input_require_grads`` or a reentrant recomputation of the user's own.
    """
    remove_input_hooks(model)
    for path, module in model.named_modules():
        found = vars(module).get("_gradient_checkpointing_func")
        # transformers puts a partial of torch's function there; what was wrapped before is none.
        keywords = getattr(found, "keywords", None)
        if found is not None and keywords is not None:
            if keywords.get("use_reentrant"):
                module._gradient_checkpointing_func = _behind_frozen_inputs(module, path, found)
            else:
                module._gradient_checkpointing_func = _where_a_gradient_passes(module, found)


def recomputes(module: nn.Module) -> bool:
    """Whether the module itself hands its computation to torch's checkpoint. Encoders and whole models carry the flag, too."""
    if not getattr(module, "gradient_checkpointing", False):
        return False
    kind = type(module)
    methods = [kind.forward, kind.__call__, *vars(kind).values()]
    return any("_gradient_checkpointing_func" in getattr(m, "__code__", _NO_CODE).co_names for m in methods)


_NO_CODE = recomputes.__code__.replace(co_names=())


def _where_a_gradient_passes(module: nn.Module, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The non-reentrant form keeps the inputs of every layer, also of those through which no gradient passes."""

    def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # whatever the layer takes and returns
        trains = any(p.requires_grad for p in module.parameters())
        opened = trains or _requires_grad((args, kwargs, getattr(function, "keywords", {})))
        function = function if trains else _at_rest(module, function)
        if opened and torch.is_grad_enabled():
            return checkpoint(function, *args, **kwargs)
        return function(*args, **kwargs)

    return run


def _at_rest(module: nn.Module, function: Callable[..., Any]) -> Callable[..., Any]:
    """A frozen layer has to be in training mode to be recomputed; its dropout must be off all the same."""

    def rest(*args: Any, **kwargs: Any) -> Any:
        found, module.training = module.training, False
        try:
            return function(*args, **kwargs)
        finally:
            module.training = found

    return rest


def _requires_grad(value: Any) -> bool:  # arguments of a layer
    if isinstance(value, torch.Tensor):
        return value.requires_grad
    if isinstance(value, Mapping):
        return any(_requires_grad(held) for held in value.values())
    return isinstance(value, list | tuple) and any(_requires_grad(held) for held in value)


def _behind_frozen_inputs(module: nn.Module, path: str, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    """The reentrant form gives no gradient to a layer none of whose inputs requires one (peft#1142, transformers#21381).

    Such an input is opened where the layer trains; where it does not, there is nothing to recompute. transformers' own remedy,
    opening the embeddings, would keep the activations of every frozen layer in between.
    """

    def run(function: Callable[..., Any], *args: Any) -> Any:  # whatever the layer takes and returns
        trains = any(p.requires_grad for p in module.parameters())
        function = function if trains else _at_rest(module, function)
        if any(isinstance(a, torch.Tensor) and a.requires_grad for a in args) and torch.is_grad_enabled():
            return checkpoint(function, *args)
        if not torch.is_grad_enabled() or not trains:
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
