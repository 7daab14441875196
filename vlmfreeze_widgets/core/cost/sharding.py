"""What each of several GPUs holds under data-parallel training: DDP, FSDP2 and the three stages of ZeRO. Arithmetic on an estimate.

Every GPU computes its own micro-batch, so activations are not divided. Not measured: nothing here ran on several GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..arguments import one_of, whole
from .gpus import usable_bytes

SCHEMES = ("ddp", "zero1", "zero2", "zero3", "fsdp2")
_SCHEME = one_of(SCHEMES, "fsdp2")
_GPUS = whole(1, 8)


@dataclass(frozen=True)
class Shard:
    """Memory of one GPU.

    Attributes:
        scheme: Of ``SCHEMES``.
        gpus: How many share.
        parts: Name -> bytes at the worst moment.
    """

    scheme: str
    gpus: int
    parts: dict[str, int]

    @property
    def peak_bytes(self) -> int:
        """At the worst moment."""
        return sum(self.parts.values())

    def fits(self, memory_bytes: int) -> bool:
        """Whether each GPU can take its share, with room for the context and the allocator's losses.

        Args:
            memory_bytes: Of one GPU as sold.
        """
        return self.peak_bytes <= usable_bytes(memory_bytes)


def shard(parts: dict[str, int], gradients: int, gathered: int, scheme: str, gpus: int) -> Shard:
    """Divides the parts of an estimate.

    Args:
        parts: Of the estimate's peak.
        gradients: Bytes of all gradients as the backward pass leaves them.
        gathered: Bytes of the largest group of weights that is put together for a computation (two are, with prefetching).
        scheme: "ddp" divides nothing and keeps gradients in buckets as well; "zero1" divides optimizer and master weights,
            "zero2" gradients too, "zero3" and "fsdp2" also weights and adapters.
        gpus: How many.

    Raises:
        InvalidOption: A scheme that is not one of these, or no GPU.
    """
    _SCHEME.check("on_gpus", "scheme", scheme)
    _GPUS.check("on_gpus", "gpus", gpus)
    divided = {"ddp": (), "zero1": ("optimizer", "masters"), "zero2": ("optimizer", "masters", "gradients")}.get(
        scheme, ("optimizer", "masters", "gradients", "weights", "adapters")
    )
    held = {name: -(-nbytes // gpus) if name in divided else nbytes for name, nbytes in parts.items()}
    if gpus > 1 and scheme == "ddp":
        held["communication"] = gradients
    if gpus > 1 and scheme in ("zero3", "fsdp2"):
        held["communication"] = 2 * gathered
    return Shard(scheme, gpus, held)
