"""From one norm per trainable tensor to norms per module, per component and in total. Arithmetic only, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class NormLayout:
    """Which module and component each trainable tensor belongs to.

    Attributes:
        names: One per trainable tensor: a base parameter name, or "<module>.lora_A" and the like for an adapter.
        modules: The module path of each tensor, in the same order.
        components: The component of each tensor, in the same order.
    """

    names: tuple[str, ...]
    modules: tuple[str, ...]
    components: tuple[str, ...]

    @cached_property
    def _ancestors(self) -> tuple[tuple[str, ...], ...]:
        return tuple(with_ancestors(path) for path in self.modules)

    @cached_property
    def component_names(self) -> tuple[str, ...]:
        """Components that hold a trainable tensor, in order of appearance."""
        return tuple(dict.fromkeys(self.components))

    def total(self, norms: Sequence[float | None]) -> float:
        """√Σ norm²; a tensor without gradient (None) contributes nothing. ``hypot`` keeps 1e200 finite."""
        return math.hypot(*(n for n in norms if n is not None))

    def by_module(self, norms: Sequence[float | None]) -> dict[str, float]:
        """Module path -> norm over everything trainable at or below it; "" is the whole model."""
        gathered: dict[str, list[float]] = {}
        for norm, paths in zip(norms, self._ancestors, strict=True):
            if norm is not None:
                for path in paths:
                    gathered.setdefault(path, []).append(norm)
        return {path: math.hypot(*values) for path, values in gathered.items()}

    def by_component(self, norms: Sequence[float | None]) -> dict[str, float]:
        """Component -> norm over its trainable tensors; absent where no gradient came."""
        gathered: dict[str, list[float]] = {}
        for norm, component in zip(norms, self.components, strict=True):
            if norm is not None:
                gathered.setdefault(component, []).append(norm)
        return {name: math.hypot(*values) for name, values in gathered.items()}


class ModuleNorms(Mapping[str, float]):
    """``record.grad_norms``: module path -> gradient norm, computed on first access."""

    def __init__(self, layout: NormLayout, norms: tuple[float | None, ...]) -> None:
        self.layout = layout
        self.norms = norms
        self._values: dict[str, float] | None = None

    def _computed(self) -> dict[str, float]:
        if self._values is None:
            self._values = self.layout.by_module(self.norms)
        return self._values

    def __getitem__(self, path: str) -> float:
        return self._computed()[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._computed())

    def __len__(self) -> int:
        return len(self._computed())

    def __repr__(self) -> str:
        return repr(self._computed())

    def of_components(self) -> dict[str, float]:
        """Component -> gradient norm."""
        return self.layout.by_component(self.norms)


def with_ancestors(path: str) -> tuple[str, ...]:
    """The path and all above it; "" is the model."""
    paths = [path]
    while path:
        path = path.rpartition(".")[0]
        paths.append(path)
    return tuple(paths)
