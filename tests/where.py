"""Support: where the tiny models and their batches lie. The CPU, but for a run of tests/gpu, which puts them on the GPU."""

from __future__ import annotations

import torch

DEVICE = torch.device("cpu")


def placed(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a batch, there."""
    return {key: value.to(DEVICE) for key, value in batch.items()}
