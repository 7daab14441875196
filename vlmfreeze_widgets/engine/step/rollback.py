"""Takes back an update that an error broke off: AdamW decays all weights before it asks for the memory to move them with.

Only while what trains is small is it copied before each update. Of more the copy would cost what a burst must not cost, and an
error there is told instead (``history.tainted``). An update that Ctrl-C meets is finished; see ``engine.step.interrupt_shield``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

_MOST = {"cpu": 4 * 2**20}
_MOST_ON_ACCELERATORS = 256 * 2**20  # a quarter of a millisecond at the speed of their memory


class StepUndo:
    """Values before an update.

    Args:
        tensors: What the optimizer steps on.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._tensors = list(tensors)
        nbytes = sum(t.numel() * t.element_size() for t in self._tensors)
        kinds = {t.device.type for t in self._tensors}
        self._is_small = all(nbytes <= _MOST.get(kind, _MOST_ON_ACCELERATORS) for kind in kinds)
        self._kept: list[torch.Tensor] | None = None

    def keep(self) -> None:
        """Copies them where they lie; activations are gone by now, so that the peak of a step stays what it was."""
        self._kept = [t.detach().clone() for t in self._tensors] if self._is_small else None

    def forget(self) -> None:
        """Lets the copies go."""
        self._kept = None

    def put_back(self) -> bool:
        """Gives the tensors the values that were kept.

        Returns:
            False when none were.
        """
        kept, self._kept = self._kept, None
        if kept is None:
            return False
        with torch.no_grad():
            torch._foreach_copy_([t.detach() for t in self._tensors], kept)
        return True
