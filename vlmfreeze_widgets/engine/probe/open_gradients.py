"""What gradient each part *would* receive if everything were open: one backward pass, nothing stepped, all restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..apply.modes import rest_all
from ..apply.snapshot import StructureSnapshot
from ..batches.micro_batch import MicroBatch
from ..model.ownership import check_free, claim, release
from ..step.loss import model_loss
from ..tensors.norms import read_norms
from ..tensors.random_streams import RandomStream


def open_gradients(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, float]:
    """Gradient norm of every floating-point parameter with all of them open.

    Needs memory for one gradient of the whole model and its activations; on a large model ask it of a smaller batch.

    Args:
        model: Left as it is found: flags, gradients, modes, buffers, random numbers.
        batch: One micro-batch with labels.

    Returns:
        Parameter name -> norm; parameters that no gradient reaches are absent.
    """
    check_free(model)
    claim(model, "a look at open gradients")
    structure = StructureSnapshot(model)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        for parameter in model.parameters():
            parameter.grad = None
            parameter.requires_grad_(parameter.is_floating_point() and parameter.element_size() > 1)
        rest_all(model)  # no dropout, no statistics: the question is about the weights
        with RandomStream(0, device).active(), torch.enable_grad(), torch.autocast(device.type, enabled=False):
            model_loss(model, MicroBatch(0, batch, 1, 1), device).backward()
        named = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
        norms, _ = read_norms([g for _, g in named])
        return dict(zip((n for n, _ in named), norms, strict=True))
    finally:
        structure.restore()
        release(model)
