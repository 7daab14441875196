"""How far one step moved each tensor, as values: from norms per tensor to ratios per module and component. Measured in
``engine.tensors.update_ratio``.
"""

from __future__ import annotations

from dataclasses import dataclass

from .norms import NormLayout


@dataclass(frozen=True)
class UpdateNorms:
    """One step, tensor by tensor, in the order of a ``NormLayout``.

    Attributes:
        moved: L2 norm of what the step added.
        sizes: L2 norm of the tensor before it.
    """

    moved: tuple[float, ...]
    sizes: tuple[float, ...]

    def by_module(self, layout: NormLayout) -> dict[str, float]:
        """Module path -> norm of the update over norm of the weights, over everything that trains at or below it.

        About 1e-3 is usual for a sound rate. Absent where all weights were zero, as LoRA's B is at the start.
        """
        return _ratios(layout.by_module(self.moved), layout.by_module(self.sizes))

    def by_component(self, layout: NormLayout) -> dict[str, float]:
        """The same per component."""
        return _ratios(layout.by_component(self.moved), layout.by_component(self.sizes))


def _ratios(moved: dict[str, float], sizes: dict[str, float]) -> dict[str, float]:
    return {path: norm / sizes[path] for path, norm in moved.items() if sizes[path] > 0}
