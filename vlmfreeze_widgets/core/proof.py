"""The proof that frozen means frozen, as a value: how many tensors, compared how. The digests are taken by ``engine.digests``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_NAMES = {"sha256": "SHA-256", "fast": "two 64-bit sums over the bits"}


@dataclass(frozen=True)
class Proof:
    """What comparing every frozen tensor before and after a burst showed.

    Attributes:
        frozen: Tensors that must not change: parameters, and buffers of modules in which nothing trains.
        changed: Names of those whose digest is another.
        algorithm: "sha256" or "fast".
        bytes: Of the frozen tensors.
        seconds: That both rounds took together.
    """

    frozen: int
    changed: tuple[str, ...]
    algorithm: str
    bytes: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether nothing changed."""
        return not self.changed

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "changed": list(self.changed)}

    def __str__(self) -> str:
        size, unit = (self.bytes / 2**30, "GiB") if self.bytes >= 2**30 else (self.bytes / 2**20, "MiB")
        how = (
            f"{_NAMES.get(self.algorithm, self.algorithm)} of {size:.1f} {unit} before and after, {self.seconds:.2g} s"
        )
        which = f", such as {self.changed[0]}" if self.changed else ""
        return f"{len(self.changed)} of {self.frozen} frozen tensors changed{which} ({how})"
