"""How many rows a micro-batch may have: found by trying real steps, each on the model as it was before. Nothing is estimated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...core.arguments import Kind, checked, whole
from ...core.errors import BadBatch, InvalidOption, OutOfMemory
from ...core.strategy.accepted import STRATEGY_OR_PLAN
from ...core.strategy.plan import Plan
from ...core.strategy.strategy import Strategy
from ..accepted import MODEL, burst_settings
from ..batches.repeated_rows import Batch, repeat_rows
from ..burst.burst import Burst
from ..failures.out_of_memory import is_out_of_memory, release_tensors
from ..model.wrappers import unwrap
from ..tensors.random_streams import RandomStream

_STEPS = 2  # the optimizer's state is there from the second step on, beside the activations


@dataclass(frozen=True)
class Trial:
    """One size that was tried.

    Attributes:
        rows: Of the micro-batch.
        fits: Whether the steps could be taken.
        seconds: That the trial took.
        memory_bytes: Peak of device memory; None on a CPU, or where it did not fit.
    """

    rows: int
    fits: bool
    seconds: float
    memory_bytes: int | None = None


@dataclass(frozen=True)
class BatchSize:
    """What the search found.

    Attributes:
        rows: The largest size that fitted.
        trials: All that were tried, in order.
        is_limit: Whether one row more did not fit; False when the search ended at ``largest``.
    """

    rows: int
    trials: tuple[Trial, ...]
    is_limit: bool

    def __int__(self) -> int:
        return self.rows

    def __str__(self) -> str:
        tried = ", ".join(f"{t.rows} {'fits' if t.fits else 'does not'}" for t in self.trials)
        return f"{self.rows} rows per micro-batch ({tried})"


@checked(
    lambda: ("lr", "start", "largest", *burst_settings()),
    model=MODEL,
    strategy=STRATEGY_OR_PLAN,
    batch=Kind(
        "a dict of tensors, or a function that makes one of so many rows",
        lambda value: callable(value) or isinstance(value, Mapping),
        "Give one of the micro-batches, such as batch=batches[0]; its rows are repeated.",
        error=BadBatch,
        problem="This is not a micro-batch.",
    ),
    start=whole(1, 8),
    largest=whole(1, 256),
)
def find_batch_size(
    model: nn.Module,
    strategy: Strategy | Plan | Mapping[str, object],
    batch: Batch | Callable[[int], Batch],
    *,
    start: int = 8,
    largest: int = 256,
    **settings: Any,  # fields of BurstSettings, and lr
) -> BatchSize:
    """Finds the largest micro-batch that trains on this device, now.

    Halves from ``start`` until a size fits, or doubles until one does not; then bisects. Model, random numbers and memory are as
    before, whether it succeeds or not.

    Args:
        model: Free.
        strategy: What trains.
        batch: A batch whose rows are repeated, or a function that makes one of so many rows. The longest and largest inputs
            of the data give the honest answer.
        start: Rows of the first trial.
        largest: Never try more.
        settings: Of the burst, such as ``precision``, ``checkpointing`` or ``accumulation``.

    Returns:
        The size, and every trial.

    Raises:
        OutOfMemory: Not even one row fits.
        InvalidOption: The search would begin beyond its end.
        BadBatch: The batch cannot be repeated by rows.
        VlmFreezeError: The strategy cannot train on this model at all.
    """
    if start > largest:
        raise InvalidOption(
            "The search cannot begin there.",
            expected=f"start from 1 to largest, {largest}",
            found=f"start={start}",
            remedy=f"Write start={largest}, or a greater largest.",
        )
    make = batch if callable(batch) else lambda rows: repeat_rows(batch, rows)
    tried: dict[int, Trial] = {}

    def fits(rows: int) -> bool:
        tried[rows] = _try(model, strategy, make, rows, settings)
        return tried[rows].fits

    good, bad = 0, largest + 1
    rows = start
    while True:
        if fits(rows):
            good = rows
        else:
            bad = rows
        if bad - good <= 1:
            break
        if not good:
            rows = bad // 2
        elif bad > largest:
            rows = min(2 * good, largest)
        else:
            rows = (good + bad) // 2
    if not good:
        raise OutOfMemory(
            "Not even one row fits. The model is as before.",
            expected="room for a step with 1 row per micro-batch",
            found=f"none for {', '.join(map(str, tried))} rows",
            remedy="Use checkpointing=True, shorter or smaller inputs, LoRA instead of full training, or optimizer='adamw8bit'.",
        )
    return BatchSize(good, tuple(tried.values()), bad <= largest)


def _try(
    model: nn.Module,
    strategy: Strategy | Plan | Mapping[str, object],
    make: Callable[[int], Batch],
    rows: int,
    settings: Mapping[str, Any],
) -> Trial:
    began = time.perf_counter()
    device = next((p.device for p in unwrap(model).parameters()), torch.device("cpu"))
    try:
        with RandomStream(0, device, with_libraries=True).active():
            made = make(rows)
        wanted = {
            "steps": _STEPS,
            "verdict_after": _STEPS + 1,
            "max_grad_norm": 1.0,
            **settings,
            "on_out_of_memory": "tell",
        }
        memory = Burst(model, strategy, [made], run_folder=False, **wanted).run().history[-1].memory_bytes
    except OutOfMemory:
        memory = -1
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        release_tensors(error, device)  # the batch itself was too large to make
        memory = -1
    if memory == -1:
        return Trial(rows, False, time.perf_counter() - began)
    return Trial(rows, True, time.perf_counter() - began, memory)
