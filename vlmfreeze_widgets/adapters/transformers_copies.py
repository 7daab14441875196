"""What a transformers model needs beside its attributes when it comes out of a pickle in another process: what its ``__init__``
writes into the library's own tables. Models are made in ``transformers_models``."""

from __future__ import annotations

import importlib

from torch import nn


def register(model: nn.Module) -> None:
    """Enters each of a model's classes into the table of what can be captured of it (hidden states, attentions).

    Without this a vision tower returns no hidden states, and the model fails on ``None``. Releases without such a table need
    nothing.
    """
    try:
        table = importlib.import_module("transformers.utils.output_capturing")._CAN_RECORD_REGISTRY
    except (ImportError, AttributeError):
        return
    for module in model.modules():
        if hasattr(module, "_can_record_outputs"):
            table[module] = module._can_record_outputs
