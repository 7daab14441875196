"""What is known of a strategy's cost at one moment, as a value: an estimate or the part that arithmetic gives, and what follows
from it. ``core.wire.cost_state`` is what the page is shown of it; ``session.costs`` fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .assumptions import CostSettings
from .estimate import CostEstimate
from .gpus import Device, usable_bytes

Status = Literal["estimating", "ready", "bound", "refused"]


@dataclass(frozen=True)
class SwitchEffect:
    """What one thing done otherwise would change.

    Attributes:
        name: "checkpointing", "adamw8bit" or "freeze <component>".
        label: In words.
        saved_bytes: Of the peak; below 0 it takes more.
        ratio: Of the step's time or operations, relative to now.
        unit: "time" by the roofline of a GPU, else "operations".
    """

    name: str
    label: str
    saved_bytes: int
    ratio: float
    unit: str


@dataclass(frozen=True)
class Comparison:
    """A burst next to its estimate.

    Attributes:
        burst: Its number.
        estimated_bytes: Peak of the estimate with the burst's own settings and batch; None where only bounds are known.
        measured_bytes: ``torch.cuda.max_memory_allocated``; None on a CPU, where torch counts nothing.
        estimated_seconds: Per step, by the speed of an earlier burst; None before the first.
        measured_seconds: Per step, median.
    """

    burst: int
    estimated_bytes: int | None
    measured_bytes: int | None
    estimated_seconds: float | None
    measured_seconds: float


@dataclass(frozen=True)
class CostView:
    """All that is known now.

    Attributes:
        rev: Revision of the strategy.
        status: "estimating": activations are still being traced; "bound": they cannot be; "refused": the plan cannot run.
        settings: What is assumed.
        cost: The estimate; while it is made, and where there is none, what arithmetic gives.
        here: GPU of the model or of this machine; None for a CPU.
        can_be_here: Whether "here" is a place where this could run.
        has_batch: Whether there is a batch of the user's own.
        largest: Rows that fit, and whether that is a limit; None while it is not known.
        switches: None while they are not known.
        seconds_per_flop: Measured by a burst here; None before the first.
        comparison: Of the last burst.
        problem: Why there is no estimate; "".
        of_run: With which settings Run would train here; None where nothing can run.
    """

    rev: int
    status: Status
    settings: CostSettings
    cost: CostEstimate
    here: Device | None
    can_be_here: bool
    has_batch: bool
    largest: tuple[int, bool] | None = None
    switches: tuple[SwitchEffect, ...] | None = None
    seconds_per_flop: float | None = None
    comparison: Comparison | None = None
    problem: str = ""
    of_run: CostSettings | None = None

    @property
    def device(self) -> Device | None:
        """The GPU that is meant; None for a CPU."""
        return self.settings.gpu or (self.here if self.settings.gpu is None else None)

    @property
    def parts(self) -> Mapping[str, int]:
        """Part -> bytes on one GPU, at the worst moment."""
        return parts_on(self.cost, self.settings)

    @property
    def total_bytes(self) -> int:
        """All parts."""
        return sum(self.parts.values())

    @property
    def room(self) -> int | None:
        """What tensors may take of the device's memory; None where no device is meant."""
        return usable_bytes(self.device.memory_bytes) if self.device else None

    @property
    def fits(self) -> bool | None:
        """Whether one step fits; None where it is not known, or no GPU is meant."""
        if self.room is None:
            return None
        if self.total_bytes > self.room:
            return False  # what arithmetic gives is too much already
        if self.status == "ready":
            return True
        upper = self.cost.upper_bytes if self.status == "bound" and self.settings.gpus == 1 else None
        return True if upper is not None and upper <= self.room else None


def parts_on(cost: CostEstimate, settings: CostSettings) -> Mapping[str, int]:
    """Part -> bytes of an estimate on each of the GPUs that share a step."""
    return cost.parts if settings.gpus == 1 else cost.on_gpus(settings.gpus, settings.scheme).parts


def peak_on(cost: CostEstimate, settings: CostSettings) -> int:
    """Bytes of all parts there."""
    return sum(parts_on(cost, settings).values())
