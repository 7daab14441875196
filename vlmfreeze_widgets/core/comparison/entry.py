"""What was measured of one contender, and what of two can be paired. The board that judges them is in ``core.comparison.board``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from ..strategy.strategy import Strategy

State = Literal["finished", "stopped", "failed", "running"]


@dataclass(frozen=True)
class SeedRun:
    """One run of one contender.

    Attributes:
        seed: Of the order of the batches, of LoRA's start values and of dropout.
        losses: Training loss per step.
        looks: Step -> mean loss of each held-out part then; step 0 is before training.
        seconds: Median of its steps; None before the first.
        retention: KL divergence from the start on text alone, at the last look; None where it was not asked for.
    """

    seed: int
    losses: tuple[float, ...] = ()
    looks: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    seconds: float | None = None
    retention: float | None = None


@dataclass(frozen=True)
class Entry:
    """One contender.

    Attributes:
        name: As it was given.
        strategy: What trains.
        sentence: The plan in one line.
        trainable_params: What the optimizer moves.
        runs: One per seed, in their order.
        memory_bytes: Peak of a step; None where it is not known.
        memory_is_measured: Whether it was seen on the device; else it was estimated by ``estimate_cost``.
        state: "stopped" by the user; "failed" with ``note``; "running" where the board was looked at in between.
        note: Why it failed, or from which contender and step it was cloned.
    """

    name: str
    strategy: Strategy
    sentence: str
    trainable_params: int
    runs: tuple[SeedRun, ...]
    memory_bytes: int | None = None
    memory_is_measured: bool = False
    state: State = "finished"
    note: str = ""

    @property
    def steps(self) -> int:
        """Of the run that went farthest."""
        return max((len(run.losses) for run in self.runs), default=0)

    @property
    def seconds(self) -> float | None:
        """Per step; mean of the runs' medians."""
        known = [run.seconds for run in self.runs if run.seconds is not None]
        return fmean(known) if known else None

    @property
    def retention(self) -> float | None:
        """Mean KL divergence from the start on text alone."""
        known = [run.retention for run in self.runs if run.retention is not None]
        return fmean(known) if known else None


def paired_table(a: Entry, b: Entry) -> list[list[float]]:
    """Loss of ``a`` minus loss of ``b``: a row per seed that both ran, a column per held-out part, at their last common look."""
    other = {run.seed: run for run in b.runs}
    rows: list[list[float]] = []
    for run in a.runs:
        if run.seed not in other:
            continue
        common = run.looks.keys() & other[run.seed].looks.keys()
        # A look before training says nothing of either; but it is all that there is of one without a step.
        if common:
            at = max(common)
            mine, theirs = run.looks[at], other[run.seed].looks[at]
            if len(mine) == len(theirs):
                rows.append([x - y for x, y in zip(mine, theirs, strict=True)])
    return rows if all(math.isfinite(d) for row in rows for d in row) else []
