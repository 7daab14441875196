"""The widest floating type of a device, in which small numbers are added up."""

from __future__ import annotations

import torch

_WITHOUT_FLOAT64 = ("mps",)  # Apple's GPUs: torch raises TypeError where a tensor would be float64


def widest(device: torch.device) -> torch.dtype:
    """Float64; float32 on a device that has none."""
    return torch.float32 if device.type in _WITHOUT_FLOAT64 else torch.float64
