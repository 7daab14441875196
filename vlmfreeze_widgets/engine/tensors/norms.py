"""Gradient norms of all tensors in one fused call, read with one device sync, and clipping from the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


def read_norms(grads: Sequence[torch.Tensor], *extra: torch.Tensor) -> tuple[list[float], list[float]]:
    """L2 norm of each gradient, and some scalars, in one transfer from the device.

    Args:
        grads: Any shapes, dtypes and devices; half precision is summed in float32, double in float64.
        extra: Scalars to read along, such as the loss.

    Returns:
        Norms in the order of ``grads``; values of ``extra``.
    """
    if not grads:
        return [], [float(x) for x in extra]
    device = grads[0].device
    wide = torch.float64 if any(g.dtype == torch.float64 for g in grads) else torch.float32
    norms = torch._foreach_norm(list(grads), 2, dtype=wide)
    scalars = [n.to(device, wide) for n in norms] + [x.detach().to(device, wide) for x in extra]
    values: list[float] = torch.stack(scalars).tolist()
    read, rest = values[: len(grads)], values[len(grads) :]
    for i, norm in enumerate(read):
        # The square of a gradient of 1e20 overflows float32 though the gradient is finite; only then is it worth float64.
        if math.isinf(norm):
            read[i] = float(torch.linalg.vector_norm(grads[i], dtype=torch.float64))
    return read, rest


def clip_by_total(grads: Sequence[torch.Tensor], total: float, max_norm: float | None) -> None:
    """Scales all gradients so that their total norm is at most ``max_norm``.

    The formula is that of ``torch.nn.utils.clip_grad_norm_``; the total is the one already read, so no second pass is made.
    """
    if max_norm is None or not grads:
        return
    factor = max_norm / (total + 1e-6)
    if factor < 1:
        torch._foreach_mul_(list(grads), factor)
