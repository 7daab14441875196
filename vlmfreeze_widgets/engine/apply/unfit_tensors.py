"""Modules and tensors of kinds with which no step can be taken, or none be undone. Which weights a plan may train is in
``engine.apply.trainable``.
"""

from __future__ import annotations

import torch
from torch import nn

from ...core.errors import ModelNotTrainable
from ...core.strategy.plan import Plan


def check_tensors(model: nn.Module, plan: Plan) -> None:
    """Raises where a model holds what a burst cannot work with, whatever trains.

    Args:
        model: Real, as the user made it.
        plan: For this model.

    Raises:
        ModelNotTrainable: Names the first of each kind.
    """
    scripted = [path for path, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]
    _refuse(
        scripted,
        "modules are compiled to TorchScript",
        "modules whose parameters, hooks and modes can be changed and given back",
        "torch.jit.ScriptModule",
        "Use the module from before torch.jit.script or torch.jit.trace.",
    )
    _refuse(
        [name for name, buffer in model.named_buffers() if buffer.is_meta],
        "buffers have no values",
        "buffers in memory",
        "meta tensors",
        "Give them values, or load the model with from_pretrained, which does.",
    )
    tensors = [*model.named_parameters(), *model.named_buffers()]
    _refuse(
        [name for name, tensor in tensors if tensor.is_inference()],
        "tensors were made in inference mode",
        "tensors that autograd can read, and that can be given back",
        "inference tensors",
        "Make or load the model outside of torch.inference_mode().",
    )
    by_name = dict(model.named_parameters())
    trained = [(name, by_name[name]) for name in plan.trainable if name in by_name]
    _refuse(
        [name for name, p in trained if any(n > 1 and step == 0 for n, step in zip(p.shape, p.stride(), strict=True))],
        "parameters share one element among several places",
        "a place in memory for each element that trains",
        "expanded tensors",
        "Write parameter.data = parameter.data.clone() first, or leave them frozen.",
    )
    _refuse(
        [name for name, p in trained if p.is_complex()],
        "complex parameters cannot train here",
        "real floating-point weights",
        "complex numbers",
        "Leave them frozen, or hold real and imaginary part as two parameters.",
    )
    sparse = {path for path, module in model.named_modules() if getattr(module, "sparse", False) is True}
    _refuse(
        sorted(sparse & ({name.rpartition(".")[0] for name, _ in trained} | set(plan.lora_targets))),
        "embeddings give sparse gradients",
        "dense gradients, of which norms and AdamW's steps can be computed",
        "sparse=True",
        "Set embedding.sparse = False, or leave them frozen.",
    )


def _refuse(names: list[str], what: str, expected: str, found: str, remedy: str) -> None:
    if names:
        raise ModelNotTrainable(
            f"{len(names)} {what}.", expected=expected, found=f"{found}, such as {names[0]}", remedy=remedy
        )
