"""How far tensors are from where they started, computed where they lie: the start is brought there piece by piece, so that a
model of gigabytes is judged in the time that the bus takes, and without room for a second one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .widest import widest

_PIECE = 1 << 24  # elements compared at a time: at most 0.3 GB beside the tensor, with copies in float32


@dataclass(frozen=True)
class Movement:
    """Of several tensors together.

    Attributes:
        moved: Tensors with an element that is not what it was.
        squares: Sum of the squares of the differences.
        start_squares: Sum of the squares at the start.
    """

    moved: int
    squares: float
    start_squares: float


def measured(now: Sequence[torch.Tensor], start: Sequence[torch.Tensor]) -> torch.Tensor:
    """Compares tensors with their start, with one transfer back per device.

    Args:
        now: Any dtypes and devices.
        start: Of the same shapes and dtypes, in host memory.

    Returns:
        Float64 of shape (tensors, 3) in host memory. A row holds 1 where an element is not what it was, else 0; the sum of the
        squares of the differences; the sum of the squares at the start. Rows of parts add up to that of the whole, but for the
        first column, which counts the parts that moved.
    """
    by_device: dict[torch.device, list[int]] = {}
    for i, tensor in enumerate(now):
        by_device.setdefault(tensor.device, []).append(i)
    rows = torch.zeros(len(now), 3, dtype=torch.float64, device="cpu")
    for members in by_device.values():
        rows[members] = torch.stack([_measured(now[i].detach().reshape(-1), start[i].reshape(-1)) for i in members]).to(
            "cpu", torch.float64
        )
    return rows


def movement(rows: torch.Tensor) -> Movement:
    """Several tensors together, from their rows of ``measured``."""
    moved, squares, start_squares = 0, 0.0, 0.0
    for changed, difference, size in rows.tolist():
        moved, squares, start_squares = moved + (changed > 0), squares + difference, start_squares + size
    return Movement(moved, squares, start_squares)


def _measured(now: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    wide = widest(now.device)
    found = torch.zeros(3, dtype=wide, device=now.device)
    for at in range(0, now.numel(), _PIECE):
        a = now[at : at + _PIECE]
        b = start[at : at + _PIECE].to(now.device, non_blocking=True)
        size = b.float()
        norms = torch.stack([torch.linalg.vector_norm(a.float() - size), torch.linalg.vector_norm(size)]).to(wide) ** 2
        found += torch.cat([(a != b).any().to(wide).reshape(1), norms])
    return found
