"""The settings of a burst as a checked value. What they do is in ``engine.burst``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..core.errors import InvalidStrategy

PRECISIONS = ("auto", "fp32", "bf16-mixed")
SCHEDULERS = ("constant", "constant_with_warmup", "linear", "cosine")


@dataclass(frozen=True)
class BurstSettings:
    """How a burst trains.

    Attributes:
        steps: Optimizer steps.
        accumulation: Micro-batches per step.
        max_grad_norm: Clipping threshold; None for no clipping.
        seed: Of the burst's own random stream (LoRA's start values, dropout).
        precision: "auto" computes in the dtypes that the model has; "fp32" refuses half-precision weights; "bf16-mixed"
            computes under autocast. Trained half-precision weights always have float32 masters.
        scheduler: A name that ``transformers.get_scheduler`` knows.
        warmup_steps: Of the scheduler.
        checkpointing: Recompute activations in the backward pass.
        eval_every: Steps between two looks at ``eval_batches``; None: ten looks in the burst.
        verdict_after: Step after which the first verdict is given.
        betas: Of AdamW.
        eps: Of AdamW.

    Raises:
        InvalidStrategy: A value that cannot be meant.
    """

    steps: int = 50
    accumulation: int = 1
    max_grad_norm: float | None = 1.0
    seed: int = 0
    precision: str = "auto"
    scheduler: str = "constant"
    warmup_steps: int = 0
    checkpointing: bool = False
    eval_every: int | None = None
    verdict_after: int = 3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("accumulation", 1), ("seed", 0), ("warmup_steps", 0), ("verdict_after", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise _bad(name, f"a whole number of at least {least}", value)
        norm = self.max_grad_norm
        if norm is not None and (not isinstance(norm, int | float) or not math.isfinite(norm) or norm <= 0):
            raise _bad("max_grad_norm", "a finite number above 0, or None", norm)
        if self.precision not in PRECISIONS:
            raise _bad("precision", " or ".join(PRECISIONS), self.precision)
        if self.scheduler not in SCHEDULERS:
            raise _bad("scheduler", " or ".join(SCHEDULERS), self.scheduler)

    @property
    def eval_interval(self) -> int:
        """Steps between two evaluations."""
        return self.eval_every or max(1, self.steps // 10)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain data."""
        return {**asdict(self), "betas": list(self.betas)}


def _bad(name: str, expected: str, found: object) -> InvalidStrategy:
    return InvalidStrategy(
        f"A burst cannot run with this {name}.", expected=expected, found=repr(found)[:60], remedy=f"Change {name}."
    )
