"""Gradient norms of all tensors in one fused call, read with one device sync, and clipping from the same numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from .reduction import Reduction
from .widest import widest


def read_norms(grads: Sequence[torch.Tensor], extra: torch.Tensor | None = None) -> tuple[list[float], list[float]]:
    """L2 norm of each gradient, and some numbers beside, in one transfer from the device.

    Args:
        grads: Any shapes, dtypes and devices; half precision is summed in float32, double in float64.
        extra: Numbers to read along, such as the loss: of shape (n,), in the widest type of their device.

    Returns:
        Norms in the order of ``grads``; the n numbers of ``extra``.
    """
    extras = [] if extra is None else [extra.detach()]
    if not grads:
        return [], [value for numbers in extras for value in numbers.tolist()]
    device = grads[0].device
    wide = torch.float64 if any(g.dtype == torch.float64 for g in grads) else torch.float32
    norms = torch.stack([n.to(device, wide) for n in torch._foreach_norm(list(grads), 2, dtype=wide)])
    # Widened only where something is read along: a loss keeps its 53 bits, and a float32 norm is the same number in float64.
    numbers = (
        torch.cat([norms.to(widest(device)), *(b.to(device, widest(device)) for b in extras)]) if extras else norms
    )
    values: list[float] = numbers.tolist()
    read, rest = values[: len(grads)], values[len(grads) :]
    for i, norm in enumerate(read):
        # The square of a gradient of 1e20 overflows float32 though the gradient is finite; only then is it worth float64.
        if math.isinf(norm):
            # On a device without float64 it is computed in host memory.
            grad = grads[i] if widest(grads[i].device) == torch.float64 else grads[i].cpu()
            read[i] = float(torch.linalg.vector_norm(grad, dtype=torch.float64))
    return read, rest


def read_norms_of_shards(
    grads: Sequence[torch.Tensor | None], together: Reduction, extra: torch.Tensor
) -> tuple[tuple[float | None, ...], list[float]]:
    """As ``read_norms``, of gradients of which this process holds parts; all processes call it and get the same.

    Args:
        grads: Parts, or None where this process got no gradient. Of the same number everywhere.
        together: Adds up the squares.
        extra: Numbers to read along: float64 of shape (n,), on the device of the parts.

    Returns:
        Norms of the whole gradients, None where no process got one; the n numbers of ``extra``.
    """
    found = together.sum_of_parts(_squares(grads, torch.float32, extra.device))
    values: list[float] = torch.cat([extra, found]).tolist()
    rest, numbers = values[: extra.numel()], values[extra.numel() :]
    if any(math.isinf(v) for v in numbers):
        # As above; the sums are the same for all processes, so all of them look again.
        numbers = together.sum_of_parts(_squares(grads, torch.float64, extra.device)).tolist()
    squares, present = numbers[: len(grads)], numbers[len(grads) :]
    return tuple(math.sqrt(s) if p else None for s, p in zip(squares, present, strict=True)), rest


def _squares(grads: Sequence[torch.Tensor | None], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Squared norm of each part, then 1 or 0 for each: whether there is one. Float64 of shape (2 * len(grads),)."""
    held = [i for i, g in enumerate(grads) if g is not None]
    found = torch.zeros(2, len(grads), dtype=torch.float64, device=device)
    if held:
        norms = torch._foreach_norm([g for g in grads if g is not None], 2, dtype=dtype)
        index = torch.tensor(held, device=device)
        found[0, index] = torch.stack([n.to(device, torch.float64) for n in norms]) ** 2
        found[1, index] = 1.0
    return found.reshape(-1)


def clip_by_total(grads: Sequence[torch.Tensor], total: float, max_norm: float | None) -> None:
    """Scales all gradients so that their total norm is at most ``max_norm``.

    The formula is that of ``torch.nn.utils.clip_grad_norm_``; the total is the one already read, so no second pass is made.
    """
    if max_norm is None or not grads:
        return
    factor = max_norm / (total + 1e-6)
    if factor < 1:
        torch._foreach_mul_(list(grads), factor)
