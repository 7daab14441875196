"""Sums over the bits of tensors, cheap enough for every step: whether a write went past torch's counters. The caller is
``engine.evidence.interference``; digests that prove bit identity are in ``engine.tensors.digests``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_INTEGER = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_WHOLE = 4 * 2**20  # bytes of all that trains, up to which every bit is looked at
_SAMPLE = 1024  # elements of a tensor that are looked at otherwise
_ROWS = 16  # rows of one that is not contiguous


class Bits:
    """Sums over the bits of tensors: of all of one kind together, which is two operations.

    All bits are summed while they are few. Of more, every so-manieth element is: reading 100 M float32 weights twice per step
    made a step on a CPU a quarter longer, and an edit past torch's counters is of a whole tensor, not of one element.

    Args:
        tensors: Looked at where they lie now.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._groups: dict[tuple[torch.device, int], list[torch.Tensor]] = {}
        self._single: list[torch.Tensor] = []
        whole = sum(t.numel() * t.element_size() for t in tensors) <= _WHOLE
        for tensor in tensors:
            flat = tensor.detach()
            if flat.is_contiguous():
                bits = flat.view(-1).view(_INTEGER[flat.element_size()])
                sample = bits if whole else bits[:: max(1, bits.numel() // _SAMPLE)]
                self._groups.setdefault((flat.device, flat.element_size()), []).append(sample)
            else:
                self._single.append(flat if whole else flat[:: max(1, flat.shape[0] // _ROWS)])

    def sums(self) -> list[torch.Tensor]:
        """As scalars on the tensors' devices, always in the same order."""
        together = [torch.cat(group).sum(dtype=torch.int64) for group in self._groups.values()]
        # A tensor that is not contiguous is copied each time, so that equal bits give equal sums.
        alone = [t.reshape(-1).view(_INTEGER[t.element_size()]).sum(dtype=torch.int64) for t in self._single]
        return together + alone
