"""The proof that frozen means frozen and that back means back, as values. The digests are taken by ``engine.tensors.digests``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..language.format import size

NAMES = {"sha256": "SHA-256", "fast": "two 64-bit sums over the bits"}
"""What people call an algorithm."""


@dataclass(frozen=True)
class Proof:
    """What comparing every frozen tensor before and after a burst showed.

    Attributes:
        frozen: Tensors that must not change: parameters, and buffers of modules in which nothing trains.
        changed: Names of those whose digest is another.
        algorithm: "sha256" or "fast".
        bytes: Of the frozen tensors.
        seconds: That both rounds took together.
        digests: Name -> digest (hexadecimal) of each frozen tensor as it was before.
        by_component: Component -> how many of its tensors are frozen, and how many of those changed.
    """

    frozen: int
    changed: tuple[str, ...]
    algorithm: str
    bytes: int
    seconds: float
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    by_component: Mapping[str, tuple[int, int]] = field(default_factory=dict, repr=False)

    @property
    def holds(self) -> bool:
        """Whether nothing changed."""
        return not self.changed

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        counts = {name: list(pair) for name, pair in self.by_component.items()}
        return {**asdict(self), "changed": list(self.changed), "digests": dict(self.digests), "by_component": counts}

    def __str__(self) -> str:
        how = (
            f"{NAMES.get(self.algorithm, self.algorithm)} of {size(self.bytes)} before and after, {self.seconds:.2g} s"
        )
        which = f", such as {self.changed[0]}" if self.changed else ""
        return f"{len(self.changed)} of {self.frozen} frozen tensors changed{which} ({how})"


@dataclass(frozen=True)
class Restored:
    """What comparing every tensor of a model with its state before a burst showed, after it was restored.

    Attributes:
        tensors: Parameters and buffers that were there before.
        changed: Names of those that are other now, or gone.
        algorithm: "sha256" or "fast".
        seconds: That the look took.
    """

    tensors: int
    changed: tuple[str, ...]
    algorithm: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether everything is as before."""
        return not self.changed

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "changed": list(self.changed)}

    def __str__(self) -> str:
        which = f", not {self.changed[0]}" if self.changed else ""
        same = self.tensors - len(self.changed)
        return f"{same} of {self.tensors} tensors as before{which} ({NAMES.get(self.algorithm, self.algorithm)})"
