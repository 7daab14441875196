"""How much of an update half precision can hold, estimated and measured. Master weights that avoid the loss are in
``engine.apply.master_weights``.
"""

from __future__ import annotations

from collections.abc import Sequence

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


class UpdateMeter:
    """Measures how many elements an update really moves, where weights are stepped in half precision.

    Only elements that had a gradient count: the rows of an embedding that no token used are not stuck. Up to 65,536 elements
    per tensor are compared, on its device; nothing is read from there before ``shares``.

    Args:
        tensors: Weights that are stepped as they are.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = list(tensors)
        self._kept: list[tuple[torch.Tensor, torch.Tensor] | None] = []
        self._sums = [torch.zeros(2, dtype=torch.int64, device=t.device) for t in tensors]

    def before(self) -> None:
        """Takes note of the weights that are about to be stepped."""
        self._kept = [None if t.grad is None else (_metered(t).clone(), _metered(t.grad) != 0) for t in self._tensors]

    def after(self) -> None:
        """Compares with what they are now."""
        for tensor, kept, counts in zip(self._tensors, self._kept, self._sums, strict=True):
            if kept is not None:
                old, has_gradient = kept
                counts.add_(torch.stack([((_metered(tensor) != old) & has_gradient).sum(), has_gradient.sum()]))
        self._kept = []

    def add(self, counts: Sequence[Sequence[int]]) -> None:
        """Goes on from what another meter of the same tensors had counted."""
        for sums, more in zip(self._sums, counts, strict=True):
            sums.add_(torch.tensor(list(more), dtype=torch.int64, device=sums.device))

    def counts(self) -> list[tuple[int, int]]:
        """Per tensor, over all steps: elements that moved, elements that had a gradient."""
        return [(int(moved), int(had)) for moved, had in (s.tolist() for s in self._sums)]


_METERED = 1 << 16


def _metered(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.detach().reshape(-1)
    return flat if flat.numel() <= _METERED else flat[:: flat.numel() // _METERED + 1]
