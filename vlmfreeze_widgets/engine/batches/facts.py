"""What micro-batches hold, known before anything runs: labels, pictures, image placeholders. Nothing is changed here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ...core.evidence.probe_report import BatchFacts
from .micro_batch import IGNORED

_PICTURES = ("pixel_values", "image_patches", "images", "flattened_patches")
_TOKEN_FIELDS = ("image_token_id", "image_token_index")


def batch_facts(model: nn.Module, batches: Iterable[Mapping[str, Any]]) -> BatchFacts:
    """Counts labels, pictures and image placeholders.

    Args:
        model: Its config names the image token, where it has one.
        batches: Mappings of tensors.
    """
    token = image_token(model)
    count = labels = empty = pictures = 0
    placeholders = 0
    for batch in batches:
        count += 1
        wanted = batch.get("labels")
        here = int((wanted[..., 1:] != IGNORED).sum()) if isinstance(wanted, torch.Tensor) and wanted.dim() else 0
        labels += here
        empty += here == 0
        pictures += any(key.startswith(_PICTURES) and value is not None for key, value in batch.items())
        ids = batch.get("input_ids")
        if token is not None and isinstance(ids, torch.Tensor):
            placeholders += int((ids == token).sum())
    return BatchFacts(count, labels, empty, pictures, placeholders if token is not None else None)


def image_token(model: nn.Module) -> int | None:
    """The id of the image placeholder, None where the config has none."""
    config = getattr(model, "config", None)
    for field in _TOKEN_FIELDS:
        found = getattr(config, field, None)
        if isinstance(found, int) and math.isfinite(found):
            return found
    return None
