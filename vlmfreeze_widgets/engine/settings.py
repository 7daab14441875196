"""The settings of a burst as a checked value. What they do is in ``engine.burst.burst``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..core.errors import InvalidStrategy

PRECISIONS = ("auto", "fp32", "bf16-mixed", "bf16-pure", "fp16")
OPTIMIZERS = ("adamw", "adamw8bit", "sgd", "adafactor")
SCHEDULERS = ("constant", "constant_with_warmup", "linear", "cosine")
CHECKPOINTING = (False, True, "non-reentrant", "reentrant")
OUT_OF_MEMORY = ("search", "tell")
PROOFS = ("auto", "fast", "sha256")


@dataclass(frozen=True)
class BurstSettings:
    """How a burst trains.

    Attributes:
        steps: Optimizer steps, at most.
        seconds: Wall time after which no further step begins; None: no limit. Whichever of the two comes first ends the burst.
        accumulation: Micro-batches per step.
        max_grad_norm: Clipping threshold; None for no clipping.
        seed: Of the burst's own random streams (LoRA's start values, dropout; shuffling and augmentation of the batches).
        precision: "auto" computes in the dtypes that the model has; "fp32" refuses half-precision weights; "bf16-mixed"
            computes under autocast; "fp16" too, with a loss scale, and is what "auto" means for float16 weights. Trained
            half-precision weights have float32 master weights; only with "bf16-pure" bfloat16 weights are stepped as they are, and
            the verdicts tell how many of their elements an update moves.
        loss_scale: Of "fp16" at the first step; it halves at each overflow.
        optimizer: "adamw", "adamw8bit" (needs bitsandbytes), "sgd" or "adafactor".
        momentum: Of "sgd".
        scheduler: A name that ``transformers.get_scheduler`` knows.
        warmup_steps: Of the scheduler.
        checkpointing: Recompute activations in the backward pass: True or "non-reentrant", or "reentrant".
        proof: How it is shown that frozen tensors did not change: "sha256", "fast" (two 64-bit sums over the bits), or
            "auto": SHA-256 where the frozen part is small enough to hash in a blink.
        eval_every: Steps between two looks at ``eval_batches``, retention and answers; None: ten looks in the burst.
        cache_features: Compute the output of a frozen tower once per picture. Refused where the tower trains; of no use where
            pictures are augmented, since every input is a new one.
        verdict_after: Step after which the first verdict is given.
        on_out_of_memory: "search": try smaller micro-batches on the restored model for up to 20 seconds, so that the error names
            a size that was seen to run. "tell": only say so.
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
    checkpointing: bool | str = False
    eval_every: int | None = None
    verdict_after: int = 3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    seconds: float | None = None
    loss_scale: float = 65536.0
    optimizer: str = "adamw"
    momentum: float = 0.0
    proof: str = "auto"
    cache_features: bool = False
    on_out_of_memory: str = "search"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("accumulation", 1), ("seed", 0), ("warmup_steps", 0), ("verdict_after", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise _bad(name, f"a whole number of at least {least}", value)
        for name in ("max_grad_norm", "seconds"):
            value = getattr(self, name)
            if value is not None and not _is_positive(value):
                raise _bad(name, "a finite number above 0, or None", value)
        if not _is_positive(self.loss_scale):
            raise _bad("loss_scale", "a finite number above 0", self.loss_scale)
        if not isinstance(self.momentum, int | float) or not 0 <= self.momentum < 1:
            raise _bad("momentum", "a number from 0 to below 1", self.momentum)
        for name, known in (
            ("precision", PRECISIONS),
            ("optimizer", OPTIMIZERS),
            ("scheduler", SCHEDULERS),
            ("checkpointing", CHECKPOINTING),
            ("proof", PROOFS),
            ("on_out_of_memory", OUT_OF_MEMORY),
        ):
            if getattr(self, name) not in known:
                raise _bad(name, " or ".join(map(str, known)), getattr(self, name))
        object.__setattr__(self, "betas", tuple(self.betas))

    @property
    def eval_interval(self) -> int:
        """Steps between two evaluations."""
        return self.eval_every or max(1, self.steps // 10)

    def to_dict(self) -> Mapping[str, Any]:
        """Plain data."""
        return {**asdict(self), "betas": list(self.betas)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BurstSettings:
        """The settings that ``to_dict`` wrote; what an older release did not know has its default.

        Raises:
            InvalidStrategy: A field that this release does not know, or a value that cannot be meant.
        """
        known = {field.name for field in fields(cls)}
        strange = next((name for name in data if name not in known), None)
        if strange is not None:
            raise _bad(strange, f"one of {', '.join(sorted(known))}", strange)
        return cls(**data)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _bad(name: str, expected: str, found: object) -> InvalidStrategy:
    return InvalidStrategy(
        f"A burst cannot run with this {name}.", expected=expected, found=repr(found)[:60], remedy=f"Change {name}."
    )
