"""GPUs: their memory and the highest speeds their makers state. What a step costs on them is in ``core.cost.roofline``.

Dense figures without sparsity, from NVIDIA's data sheets: T4 (2019), L4 (2023), GeForce RTX 4090 (Ada
architecture paper, float32 accumulation), A100 (2021; the 40 GB card as PCIe, the 80 GB one as SXM), L40S (2023), H100 SXM (2023),
H200 SXM (2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType

from ..arguments import found_for
from ..errors import VlmFreezeError, nearest


class UnknownDevice(VlmFreezeError):
    """A GPU that the table does not have, or a size that is no size."""

    code = "unknown-device"


@dataclass(frozen=True)
class Device:
    """One kind of GPU.

    Attributes:
        name: Such as "A100 80GB".
        memory_bytes: As sold, in binary gigabytes.
        half_flops: Operations per second in bfloat16 (the T4: float16) with matrix units.
        single_flops: The same in float32 without them.
        bandwidth: Bytes per second of its memory.
    """

    name: str
    memory_bytes: int
    half_flops: float
    single_flops: float
    bandwidth: float


_TABLE = (
    ("T4", 16, 65, 8.1, 320),
    ("L4", 24, 121, 30.3, 300),
    ("RTX 4090", 24, 165.2, 82.6, 1008),
    ("A100 40GB", 40, 312, 19.5, 1555),
    ("L40S", 48, 362, 91.6, 864),
    ("A100 80GB", 80, 312, 19.5, 2039),
    ("H100", 80, 989.4, 66.9, 3350),
    ("H200", 141, 989.4, 66.9, 4800),
)

DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        name: Device(name, gib * 2**30, half * 1e12, single * 1e12, bandwidth * 1e9)
        for name, gib, half, single, bandwidth in _TABLE
    }
)
"""By name, the smallest memory first."""

CONTEXT_BYTES = 600 * 2**20
"""What the CUDA context and the libraries' workspaces take beside all tensors: 0.4 to 0.7 GB by GPU and driver."""

FRAGMENTATION = 0.05
"""Share of the memory that the allocator may hold without being able to use it."""


def usable_bytes(memory_bytes: int) -> int:
    """What tensors may take of a GPU's memory.

    Raises:
        UnknownDevice: The memory is no number of bytes.
    """
    if isinstance(memory_bytes, bool) or not isinstance(memory_bytes, Real):
        raise UnknownDevice(
            "The memory of a GPU is a number of bytes.",
            expected="such as 24e9 for 24 GB",
            found=found_for(memory_bytes),
            remedy="Write the number of bytes; vlmfreeze cost --gpu takes names.",
        )
    return max(0, int(memory_bytes * (1 - FRAGMENTATION)) - CONTEXT_BYTES)


def find_device(wanted: str) -> Device:
    """The device of a name; the beginning of one is enough.

    Raises:
        UnknownDevice: There is none.
    """
    plain = {_plain(name): device for name, device in DEVICES.items()}
    found = plain.get(_plain(wanted)) or next(
        (d for n, d in plain.items() if n.startswith(_plain(wanted) or "?")), None
    )
    if found is None:
        close = nearest(wanted, DEVICES)
        raise UnknownDevice(
            f"No GPU is known as {wanted!r}.",
            expected=f"one of {', '.join(DEVICES)}, or its memory in GB",
            found=found_for(wanted),
            remedy=f"Did you mean {close[0]!r}?" if close else "Give the memory, such as 24.",
        )
    return found


def find_known(reported: str) -> Device | None:
    """The device of the name that a driver reports, such as "NVIDIA A100-SXM4-80GB"; None where the table has none."""
    words = _plain(reported.replace("GeForce", "").replace("Tesla", ""))
    return next((d for n, d in sorted(DEVICES.items(), key=lambda i: -len(i[0])) if _names_device(n, words)), None)


def _names_device(name: str, reported: str) -> bool:
    kind, _, memory = name.partition(" ")
    if kind == "RTX":
        return _plain(name) in reported
    return reported.startswith(_plain(kind)) and _plain(memory) in reported


def memory_of(wanted: str) -> int:
    """Bytes of a device by its name, or of a number of gigabytes as cards are sold by.

    Raises:
        UnknownDevice: It is neither.
    """
    if wanted.replace(".", "", 1).isdigit():
        return int(float(wanted) * 2**30)
    return find_device(wanted).memory_bytes


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum()).removeprefix("nvidia").removeprefix("geforce")
