"""Takes back an update that an error broke off: AdamW decays all weights before it asks for the memory to move them with.

Only while what trains is small is it copied before each update. Of more the copy would cost what a burst must not cost, and an
error there is reported instead (``history.tainted``). An update under Ctrl-C is finished; see ``engine.step.interrupt_shield``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..tensors.reduction import ONE_PROCESS, Reduction

_MOST = {"cpu": 4 * 2**20}
_MOST_ON_ACCELERATORS = 256 * 2**20  # a quarter of a millisecond at the speed of their memory


class StepUndo:
    """Values before an update.

    Args:
        tensors: What the optimizer steps on.
        together: The processes that hold them; of a shard this one's part is kept.
    """

    def __init__(self, tensors: Sequence[torch.Tensor], together: Reduction = ONE_PROCESS) -> None:
        self._tensors, self._together = list(tensors), together
        nbytes = sum(t.numel() * t.element_size() for t in self._parts())
        kinds = {t.device.type for t in self._tensors}
        self._is_small = all(nbytes <= _MOST.get(kind, _MOST_ON_ACCELERATORS) for kind in kinds)
        self._kept: list[torch.Tensor] | None = None

    def keep(self) -> None:
        """Copies them where they lie; activations are gone by now, so that the peak of a step stays what it was."""
        self._kept = [t.clone() for t in self._parts()] if self._is_small else None

    def forget(self) -> None:
        """Lets the copies go."""
        self._kept = None

    def restore(self) -> bool:
        """Gives the tensors the values that were kept.

        Returns:
            False when none were.
        """
        kept, self._kept = self._kept, None
        if kept is None:
            return False
        with torch.no_grad():
            torch._foreach_copy_(self._parts(), kept)
        return True

    def _parts(self) -> list[torch.Tensor]:
        return [self._together.own_part(t.detach()) for t in self._tensors]
