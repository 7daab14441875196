"""Stages that a session runs, as values, and what the page is shown of them: the trait ``stages_state`` (tests/wire/README.md).
What a stage is stands in ``core.recipes.stages``; who runs them is ``session.stage_runner``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ..evidence.freeze_proof import Restored
from ..recipes.curricula import Curriculum
from .messages import VERSION, number

StageStatus = Literal["coming", "running", "stopped", "failed", "done"]
_SHOWN = 40  # stages; nobody runs as many


@dataclass(frozen=True)
class StagedStage:
    """One stage and how far it is.

    Attributes:
        name: Its own.
        what: What trains, and at which rates.
        how: What its source says of batch, epochs and schedule; "" where there is none.
        optimizer: As in ``BurstSettings``.
        schedule: The same.
        steps: That it takes here.
        data: What it trains on, for people.
        notes: What else to know.
        refusal: Why it cannot run; "" where it can.
        least_bytes: What a step takes by arithmetic alone, without activations.
        status: How far it is; "stopped" and "failed" have undecided steps, or none.
        burst: Number of its burst; 0 before.
        taken: Steps taken.
        seconds: That they took.
        peak_bytes: Most device memory in it; None where there is no device.
        failures: Components of which its verdict says that they do not train.
        message: Why it ended early; "" where it did not.
        points: Its losses, as ``core.history.curve_points`` writes them.
    """

    name: str
    what: str
    how: str
    optimizer: str
    schedule: str
    steps: int
    data: str
    notes: tuple[str, ...] = ()
    refusal: str = ""
    least_bytes: int | None = None
    status: StageStatus = "coming"
    burst: int = 0
    taken: int = 0
    seconds: float = 0.0
    peak_bytes: int | None = None
    failures: int = 0
    message: str = ""
    points: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Staged:
    """One look at the stages of a session.

    Attributes:
        name: Of them all.
        source: Paper or repository.
        stages: In order.
        active: Whether the model has weights of stages on it that are neither kept nor discarded.
        runs_all: Whether the next stage follows without being asked for.
        outcome: "kept" or "discarded" once decided.
        restored: After a discard: every tensor of the model, read again.
    """

    name: str
    source: str
    stages: tuple[StagedStage, ...]
    active: bool = False
    runs_all: bool = False
    outcome: Literal["kept", "discarded"] | None = None
    restored: Restored | None = None

    @property
    def next(self) -> int | None:
        """Place of the first stage that is not done; None where all are."""
        return next((i for i, stage in enumerate(self.stages) if stage.status != "done"), None)

    @property
    def seconds(self) -> float:
        """That all stages took."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def peak_bytes(self) -> int | None:
        """Most device memory of any stage; None where none was measured."""
        return max((s.peak_bytes for s in self.stages if s.peak_bytes is not None), default=None)

    def __repr__(self) -> str:
        lines = [self.name or "stages"]
        for i, s in enumerate(self.stages):
            lines.append(f"  {i + 1} {s.name} ({s.status}, {s.taken} of {s.steps} steps): {s.what}")
        return "\n".join(lines)


def stages_state(staged: Staged | None, choices: Iterable[Curriculum], why_not: str | None) -> dict[str, Any]:
    """The trait ``stages_state``.

    Args:
        staged: None while none are chosen.
        choices: What can be chosen.
        why_not: Why no stage can start, whatever it is; None where one can.
    """
    return {
        "v": VERSION,
        "choices": [{"name": c.name, "label": c.label, "stages": list(c.stages), "source": c.source} for c in choices],
        "why_not": why_not,
        "chosen": None if staged is None else _chosen(staged),
    }


def _chosen(staged: Staged) -> dict[str, Any]:
    restored = staged.restored
    return {
        "name": staged.name,
        "source": staged.source,
        "stages": [_stage(stage) for stage in staged.stages[:_SHOWN]],
        "active": staged.active,
        "runs_all": staged.runs_all,
        "outcome": staged.outcome,
        "restored": None if restored is None else {"tensors": restored.tensors, "changed": len(restored.changed)},
        "seconds": number(staged.seconds),
        "peak_bytes": staged.peak_bytes,
    }


def _stage(stage: StagedStage) -> dict[str, Any]:
    return {**asdict(stage), "notes": list(stage.notes), "seconds": number(stage.seconds)}
