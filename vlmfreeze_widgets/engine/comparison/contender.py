"""One contender of a comparison: a burst per seed that is suspended while others have the model, and what was measured of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from statistics import median
from typing import Any

import torch
from torch import nn

from ...core.comparison.entry import Entry, SeedRun, State
from ...core.errors import RestartNeeded, VlmFreezeError
from ...core.history.history import StepRecord
from ...core.strategy.plan import Plan
from ...core.strategy.text import sentence
from ..burst.burst import Burst
from ..burst.result import BurstResult
from ..cost.estimate import estimate_cost
from ..settings import BurstSettings

_SHARE = 0.1  # of the time may go into taking turns


class Contender:
    """A contender: it takes turns on a model.

    Args:
        name: For the board.
        plan: What trains.
        origin: From whom and after which step it is cloned; None where it begins at the start.
        keeps: Whether the trained values of its first seed stay in host memory.

    Attributes:
        burst: Of the present seed; None between seeds.
        stopped: Whether the user wants no more of it.
        note: Why it failed, or where it comes from.
        held_bytes: On the device while it is suspended.
        peak_bytes: The highest of its own turns, without what others hold; None on a CPU.
        estimated_bytes: What the cost model says instead.
        result: Of its first seed, with the trained values.
        worthwhile: Steps of a turn, so that changing places costs little beside them.
    """

    def __init__(self, name: str, plan: Plan, origin: tuple[str, int] | None = None, keeps: bool = False) -> None:
        self._keeps = keeps
        self.name, self.plan = name, plan
        self.burst: Burst | None = None
        self.stopped = False
        self.failed = False
        self.origin: tuple[str, int] | None = None
        self.note = ""
        if origin is not None:
            self.come_from(*origin)
        self.held_bytes = 0
        self.peak_bytes: int | None = None
        self.estimated_bytes: int | None = None
        self.result: BurstResult | None = None
        self.worthwhile = 1
        self._runs: dict[int, SeedRun] = {}
        self._seed: int | None = None

    def come_from(self, parent: str, step: int) -> None:
        """It is a copy of another contender after a step, in every seed."""
        self.origin, self.note = (parent, step), f"cloned from {parent} after step {step}"

    @property
    def is_out(self) -> bool:
        """Whether it takes no further turn, in this seed or another."""
        return self.stopped or self.failed

    @property
    def steps(self) -> int:
        """Of the present seed."""
        burst = self.burst  # asked once: another thread may look while the run ends
        return len(burst.history) if burst is not None else 0

    def has_begun(self, seed: int) -> bool:
        """Whether it runs in a seed, or has."""
        return seed in self._runs or (self.burst is not None and self._seed == seed)

    def begin(self, seed: int, burst: Burst) -> None:
        """Starts a seed."""
        self._seed, self.burst = seed, burst

    def take_turn(self, most: int, on_step: Callable[[StepRecord], None]) -> bool:
        """Takes some steps, then restores the model.

        Args:
            most: How many.
            on_step: Called with each record.

        Returns:
            False when the burst is over.
        """
        assert self.burst is not None
        began, steps = time.perf_counter(), 0
        try:
            for record in self.burst:
                on_step(record)
                steps += 1
                if steps >= most or self.stopped:
                    break
            else:
                if self.burst.problem is not None:
                    self.fail(self.burst.problem)
                # Ended in the middle of a turn, it has not finished, however far it came.
                self.stopped = self.stopped or self.burst.stopped_early == "stopped"
                return False
            taken = time.perf_counter()
            self.burst.suspend()
            aside = time.perf_counter() - taken
        except RestartNeeded:
            raise
        except VlmFreezeError as error:
            self.fail(error)
            return False
        # Putting back takes as long as setting aside. How long a turn is changes no number, only how soon others come.
        step = max(1e-9, (taken - began) / steps)
        self.worthwhile = min(10, max(1, round(2 * aside / (_SHARE * step))))
        return not self.stopped

    def end(self) -> None:
        """Ends the present seed where it is."""
        if self.burst is None:
            return
        burst, self.burst = self.burst, None
        result = burst.result()
        self._runs[self._seed or 0] = _run_of(self._seed or 0, burst)
        if self.result is None and self._keeps:
            self.result = result
        self.held_bytes = 0

    def cut_short(self) -> None:
        """Ends the present seed, if there is one, before its time."""
        self.stopped = self.stopped or self.burst is not None
        self.end()

    def estimate_memory(self, model: nn.Module, batch: Any, settings: BurstSettings) -> None:  # a micro-batch
        """Asks the cost model for the peak of a step. Where it knows none the board has no memory, and is none the worse."""
        with suppress(VlmFreezeError):
            self.estimated_bytes = estimate_cost(
                model, self.plan, batch=batch, optimizer=settings.optimizer, checkpointing=settings.checkpointing,
                precision=settings.precision, accumulation=settings.accumulation, loss_positions=settings.loss_positions,
            ).peak_bytes  # fmt: skip

    def fail(self, problem: VlmFreezeError) -> None:
        """It cannot go on."""
        self.failed, self.note = True, str(problem)

    def entry(self, tail: bool) -> Entry:
        """What the board shows of it now.

        Args:
            tail: Measure by the training loss, since nothing is held out.
        """
        runs, burst = dict(self._runs), self.burst
        if burst is not None and self._seed is not None:
            runs[self._seed] = _run_of(self._seed, burst)
        state: State = "failed" if self.failed else "stopped" if self.stopped else "finished"
        if burst is not None and state == "finished":
            state = "running"
        return Entry(
            name=self.name,
            strategy=self.plan.strategy,
            sentence=sentence(self.plan),
            trainable_params=self.plan.trainable_params,
            runs=tuple(_by_training_loss(run) if tail else run for run in runs.values()),
            memory_bytes=self.estimated_bytes if self.peak_bytes is None else self.peak_bytes,
            memory_is_measured=self.peak_bytes is not None,
            state=state,
            note=self.note,
        )


def _run_of(seed: int, burst: Burst) -> SeedRun:
    taken = [record for record in burst.history if record.taken]
    looks = [record.retention for record in taken if record.retention is not None]
    # The first step of a process also warms caches up.
    timed = [record.seconds for record in taken[1:]] or [record.seconds for record in taken]
    return SeedRun(
        seed,
        tuple(record.loss for record in taken),
        {step: tuple(loss for loss, _ in parts) for step, parts in burst.eval_parts.items()},
        median(timed) if timed else None,
        looks[-1].kl if looks else None,
    )


def _by_training_loss(run: SeedRun) -> SeedRun:
    """Each step's look is the last third of the losses until then: all contenders saw the same batches there."""
    losses: Sequence[float] = run.losses
    looks = {n: tuple(losses[n - max(1, n // 3) : n]) for n in range(1, len(losses) + 1)}
    return SeedRun(run.seed, run.losses, looks, run.seconds, run.retention)


def device_bytes(device: torch.device) -> int:
    """What torch holds on an accelerator now; 0 on a CPU."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
