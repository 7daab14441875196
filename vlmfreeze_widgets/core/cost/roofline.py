"""The least time that a GPU needs for the operations of a step: each is bound by arithmetic or by memory.

Nothing here was fitted to a measurement. Real steps take about twice as long: matrices do not fill the machine, and kernels wait
for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .gpus import Device

LAUNCH_SECONDS = 4e-6
"""Between two kernels, at the least, when nothing is compiled into a graph."""


@dataclass(frozen=True, order=True)
class Work:
    """One kind of operation.

    Attributes:
        phase: "forward" or "backward".
        flops: Floating point operations of one call.
        traffic: Bytes that it reads and writes.
        is_half: Whether it multiplies in half precision.
    """

    phase: str
    flops: int
    traffic: int
    is_half: bool


@dataclass(frozen=True)
class StepTime:
    """Seconds of one optimizer step, at the least.

    Attributes:
        forward: All micro-batches.
        backward: All micro-batches; with recomputation where that is on.
        update: Of the optimizer.
    """

    forward: float
    backward: float
    update: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.forward + self.backward + self.update


def step_time(work: Mapping[Work, int], device: Device, accumulation: int, update_traffic: int) -> StepTime:
    """The roofline of a step.

    Args:
        work: Operation -> how often one micro-batch calls it.
        device: Where.
        accumulation: Micro-batches per step.
        update_traffic: Bytes that the optimizer reads and writes.
    """
    seconds = {"forward": 0.0, "backward": 0.0}
    for kind, calls in work.items():
        speed = device.half_flops if kind.is_half else device.single_flops
        seconds[kind.phase] += calls * max(kind.flops / speed, kind.traffic / device.bandwidth, LAUNCH_SECONDS)
    return StepTime(
        accumulation * seconds["forward"], accumulation * seconds["backward"], update_traffic / device.bandwidth
    )
