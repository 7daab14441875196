"""How much of an update half precision can hold. Masters that avoid the loss are in ``engine.masters``."""

from __future__ import annotations

import torch

_HALF = (torch.float16, torch.bfloat16)
_SAMPLE = 1 << 20  # elements looked at per tensor; the share of a million is known to a tenth of a per cent


def stuck_share(tensor: torch.Tensor, lr: float) -> float | None:
    """Share of a tensor's elements that one update of the size ``lr`` cannot change in its dtype.

    Adam's first steps move every weight by about the learning rate, whatever the gradient. A bfloat16 number has 8 bits of
    precision: beside a weight of 0.1 an update below 2e-4 rounds to nothing (torchtune#2254, pytorch#120376).

    Args:
        tensor: Weights, any shape.
        lr: Size of the update.

    Returns:
        0 to 1, the larger of both directions' shares halved together; None for dtypes that hold every update (float32).
    """
    if tensor.dtype not in _HALF or not tensor.numel():
        return None
    flat = tensor.detach().reshape(-1)
    if flat.numel() > _SAMPLE:
        flat = flat[:: flat.numel() // _SAMPLE + 1]
    exact = flat.float()
    same = ((exact + lr).to(tensor.dtype) == flat).float().mean() + (
        (exact - lr).to(tensor.dtype) == flat
    ).float().mean()
    return float(same) / 2
