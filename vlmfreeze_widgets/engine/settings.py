"""The settings of a burst as a checked value. What they do is in ``engine.burst.burst``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..core.arguments import FLAG, Kind, check_keyword, fields_checked, found_for, is_number, is_whole
from ..core.errors import InvalidStrategy, did_you_mean

PRECISIONS = ("auto", "fp32", "bf16-mixed", "bf16-pure", "fp16")
OPTIMIZERS = ("adamw", "adamw8bit", "sgd", "adafactor")
SCHEDULERS = ("constant", "constant_with_warmup", "linear", "cosine")
CHECKPOINTING = (False, True, "non-reentrant", "reentrant")
OUT_OF_MEMORY = ("search", "tell")
LOSS_POSITIONS = ("labels", "all")
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
        loss_positions: Where the head and the loss are computed: "all": at every position, as the model does; "labels": only at
            the positions that predict a label, where the model's loss allows it (``result.loss_positions`` says so, or why not).
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
    loss_positions: str = "all"

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("accumulation", 1), ("seed", 0), ("warmup_steps", 0), ("verdict_after", 1)):
            value = getattr(self, name)
            if not is_whole(value, least):
                raise _bad(name, f"a whole number of at least {least}", value)
            object.__setattr__(self, name, int(value))
        if self.eval_every is not None and not is_whole(self.eval_every, 1):
            raise _bad("eval_every", "a whole number of at least 1, or None for ten looks", self.eval_every)
        for name in ("max_grad_norm", "seconds"):
            value = getattr(self, name)
            if value is not None and not _is_positive(value):
                raise _bad(name, "a finite number above 0, or None", value)
        if not _is_positive(self.loss_scale):
            raise _bad("loss_scale", "a finite number above 0", self.loss_scale)
        for name, value in (("momentum", self.momentum), ("betas", self.betas), ("eps", self.eps)):
            if (expected := _adam_problem(name, value)) is not None:
                raise _bad(name, expected, value)
        if not FLAG.fits(self.cache_features):
            raise _bad("cache_features", FLAG.expected, self.cache_features)
        for name, known in (
            ("precision", PRECISIONS),
            ("optimizer", OPTIMIZERS),
            ("scheduler", SCHEDULERS),
            ("checkpointing", CHECKPOINTING),
            ("proof", PROOFS),
            ("on_out_of_memory", OUT_OF_MEMORY),
            ("loss_positions", LOSS_POSITIONS),
        ):
            value = getattr(self, name)
            if not isinstance(value, str | bool) or value not in known:
                raise _bad(name, " or ".join(map(str, known)), value, tuple(n for n in known if isinstance(n, str)))
        object.__setattr__(self, "betas", tuple(self.betas))
        object.__setattr__(self, "cache_features", bool(self.cache_features))

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
        if not isinstance(data, Mapping):
            raise _bad("settings", "a mapping of the fields of vf.BurstSettings", data)
        known = tuple(sorted(field.name for field in fields(cls)))
        strange = next((name for name in data if name not in known), None)
        if strange is not None:
            raise InvalidStrategy(
                f"A burst has no setting {strange!r}.",
                expected=", ".join(known),
                found=repr(strange),
                remedy=did_you_mean(str(strange), known) or "Leave it out.",
            )
        return cls(**data)


def _is_positive(value: object) -> bool:
    return is_number(value) and value > 0  # type: ignore[operator]  # a number


def _adam_problem(name: str, value: Any) -> str | None:
    """What would be right instead; None where it is."""
    if name == "eps":
        return None if _is_positive(value) else "a finite number above 0, such as 1e-8"
    pair = value if name == "betas" else (value, 0)
    fits = isinstance(pair, list | tuple) and len(pair) == 2 and all(is_number(v) and 0 <= v < 1 for v in pair)
    return None if fits else "two numbers from 0 to below 1" if name == "betas" else "a number from 0 to below 1"


def _bad(name: str, expected: str, found: object, known: tuple[str, ...] = ()) -> InvalidStrategy:
    near = did_you_mean(found, known) if isinstance(found, str) else ""
    default = BurstSettings.__dataclass_fields__[name].default if name in BurstSettings.__dataclass_fields__ else None
    return InvalidStrategy(
        f"A burst cannot run with this {name}.",
        expected=expected,
        found=found_for(found),
        remedy=near or (f"Write {name}={default!r}, which is the default, or another {name} as expected."),
    )


fields_checked(BurstSettings)


def settings_of(where: str, given: Mapping[str, Any], others: Iterable[str] = ()) -> BurstSettings:
    """The settings that a function was given as keywords.

    Args:
        where: The function, for the error.
        given: Its keywords.
        others: What else it takes, for the nearest name.

    Raises:
        UnknownArgument: There is no such setting; the message gives the nearest.
        InvalidStrategy: A value that cannot be meant.
    """
    for name in given:
        check_keyword(where, name, (*others, *BurstSettings.__dataclass_fields__))
    return BurstSettings(**given)


SETTINGS = Kind(
    "vf.BurstSettings, or None",
    lambda value: value is None or isinstance(value, BurstSettings),
    "Give the settings as keywords, such as steps=50; a dict of them goes in as vf.BurstSettings(**settings).",
)
