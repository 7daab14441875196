"""Wrappers around a whole model (torch.compile, DataParallel, DDP): the model inside has the names that people use.

A PeftModel is no wrapper in this sense: its names lead to the adapters. ``engine.model.components`` looks through it by itself.
"""

from __future__ import annotations

from torch import nn

_INNER = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside any number of wrappers.

    What is read and trained is the model inside: a burst runs it as it is, not its compiled or replicated form.
    """
    while (inner := getattr(model, _INNER.get(type(model).__name__, ""), None)) is not None and isinstance(
        inner, nn.Module
    ):
        model = inner
    return model
