"""How far one update moves each tensor, relative to its size: the figure by which rates are judged (about 1e-3 is usual)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...core.history.update_norms import UpdateNorms


class UpdateRatio:
    """Measures a single step: ``before`` it, then ``after`` it. One copy of what trains is held in between.

    Args:
        tensors: What the optimizer steps on.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = list(tensors)
        self._kept: list[torch.Tensor] | None = None

    def before(self) -> None:
        """Remembers the values."""
        self._kept = [t.detach().clone() for t in self._tensors]

    def after(self) -> UpdateNorms:
        """What the step did."""
        assert self._kept is not None
        now = [t.detach() for t in self._tensors]
        moved = torch._foreach_norm(torch._foreach_sub(now, self._kept))
        sizes = torch._foreach_norm(self._kept)
        self._kept = None
        # One transfer for both: a step has one sync more only where it is measured.
        read = torch.stack([*(m.float() for m in moved), *(s.float() for s in sizes)]).tolist()
        return UpdateNorms(tuple(read[: len(now)]), tuple(read[len(now) :]))
