"""One stage of training as a value: what trains, how fast, on how much. Stages in order are in ``core.recipes.stages``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..arguments import TEXT, fields_checked, found_for, is_whole, many
from ..errors import InvalidStrategy, did_you_mean
from ..language.format import rate
from ..strategy.accepted import STRATEGY
from ..strategy.plan import Plan
from ..strategy.resolve import resolve
from ..strategy.strategy import Strategy
from ..tree.tree import ModuleTree

_EXAMPLES = {
    "name": "'pretrain'", "steps": "1000", "batch": "256", "per_device": "16", "length": "2048", "warmup": "0.03",
    "epochs": "1", "max_grad_norm": "1.0",
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        name: Such as "pretrain"; no two stages of one plan have the same.
        strategy: What trains, and at which rates.
        schedule: A name that ``transformers.get_scheduler`` knows; "" where the source does not say.
        warmup: Below 1 a share of the steps, from 1 on a number of steps.
        steps: Optimizer steps; None where epochs count, or where the source does not say.
        epochs: Passes over the data; None as above.
        batch: Rows of one optimizer step over all devices; None where the source does not say.
        per_device: Rows of a micro-batch; None as above.
        optimizer: As in ``BurstSettings``.
        max_grad_norm: Clipping threshold; None where the source does not say.
        data: What it was trained on, for people.
        length: Most tokens of a row; None where the source does not say.
        source: The script or paper.
        notes: What else to know; of a published stage also which of its parts this model does not have.

    Raises:
        InvalidStrategy: A value that cannot be meant.
    """

    name: str
    strategy: Strategy
    schedule: str = ""
    warmup: float = 0.0
    steps: int | None = None
    epochs: float | None = None
    batch: int | None = None
    per_device: int | None = None
    optimizer: str = "adamw"
    max_grad_norm: float | None = None
    data: str = ""
    length: int | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise _bad("name", "a text", self.name)
        if not isinstance(self.strategy, Strategy):
            object.__setattr__(self, "strategy", Strategy(self.strategy))
        for name in ("steps", "batch", "per_device", "length"):
            value = getattr(self, name)
            if value is not None and not is_whole(value, 1):
                raise _bad(name, "a whole number of at least 1, or None", value)
        for name, allows_zero in (("warmup", True), ("epochs", False), ("max_grad_norm", False)):
            value = getattr(self, name)
            if (value is not None or allows_zero) and not (
                _is_number(value) and (value > 0 or (allows_zero and value == 0))
            ):
                raise _bad(
                    name, "a finite number of at least 0" if allows_zero else "a finite number above 0, or None", value
                )
        object.__setattr__(self, "notes", tuple(self.notes))

    def plan(self, tree: ModuleTree) -> Plan:
        """What this stage trains on a tree.

        Raises:
            UnknownTarget: It names what the tree does not have.
        """
        return resolve(self.strategy, tree)

    def warmup_steps(self, steps: int) -> int:
        """The warm-up of a run of so many steps."""
        return int(self.warmup) if self.warmup >= 1 else math.ceil(self.warmup * steps)

    def steps_for(self, rows: int, batch: int | None = None) -> int | None:
        """Optimizer steps on a data set of so many rows; None where neither steps nor epochs are known.

        Args:
            rows: Of the data set.
            batch: Rows per step, the stage's own by default.
        """
        size = batch or self.batch
        if self.steps is not None:
            return self.steps
        if self.epochs is None or size is None:
            return None
        return max(1, math.ceil(self.epochs * rows / size))

    def scale_note(self, batch: int) -> str:
        """What two rules would make of the rates at another batch size; "" where there is nothing to say. Nothing is changed.

        Linear: Goyal et al. 2017, arXiv:1706.02677 (SGD). Square root: Malladi et al. 2022, arXiv:2205.10330 (Adam), and
        Cambrian-1's README.

        Args:
            batch: Rows per optimizer step that will really be used.
        """
        if self.batch is None or batch == self.batch or batch < 1:
            return ""
        factor = batch / self.batch
        rates = sorted(set(self.strategy.lr.values()), reverse=True)
        linear = ", ".join(f"{rate(lr)} → {rate(_two_digits(lr * factor))}" for lr in rates)
        root = ", ".join(f"{rate(lr)} → {rate(_two_digits(lr * math.sqrt(factor)))}" for lr in rates)
        return (
            f"{self.name}: made for {self.batch} rows per step, yours has {batch}. The rates are as published; the square-root "
            f"rule for Adam (arXiv:2205.10330) would make them {root}, the linear rule (arXiv:1706.02677) {linear}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and YAML; what has its default is left out."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("name", "strategy")}
        kept = {n: v for n, v in values.items() if v != Stage.__dataclass_fields__[n].default}
        if "notes" in kept:
            kept["notes"] = list(self.notes)
        return {"name": self.name, "strategy": self.strategy.to_dict(), **kept}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Stage:
        """Reads what ``to_dict`` wrote.

        Raises:
            InvalidStrategy: Unknown field, or a value that cannot be meant; nothing is dropped in silence.
        """
        check_fields(data, [f.name for f in fields(cls)], "stage")
        strategy = Strategy.from_dict(data.get("strategy") or {})
        return cls(**{**data, "name": data.get("name", ""), "strategy": strategy})


def check_fields(data: object, known: Sequence[str], what: str) -> None:
    """Refuses what is no mapping, or has unknown fields.

    Raises:
        InvalidStrategy: The same.
    """
    if not isinstance(data, Mapping):
        raise unreadable("a mapping", type(data).__name__)
    for key in data:
        if key not in known:
            hint = did_you_mean(str(key), known) or "Remove it."
            raise InvalidStrategy(
                f"A {what} has no field {key!r}.", expected=", ".join(known), found=repr(key), remedy=hint
            )


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _bad(field: str, expected: str, found: object) -> InvalidStrategy:
    return InvalidStrategy(
        f"A stage cannot have this {field}.",
        expected=expected,
        found=found_for(found),
        remedy=f"Write, for example, {field}={_EXAMPLES[field]}.",
    )


def unreadable(expected: str, found: str) -> InvalidStrategy:
    """The error for what is no stage at all."""
    return InvalidStrategy(
        "These are no stages.", expected=expected, found=found, remedy="Stages(...).to_dict() shows the form."
    )


_TEXT = TEXT.raising(InvalidStrategy)
fields_checked(
    Stage,
    strategy=STRATEGY,
    schedule=_TEXT,
    optimizer=_TEXT,
    data=_TEXT,
    source=_TEXT,
    notes=many(lambda one: isinstance(one, str), "a list of texts", 'Write {name}=["..."].').raising(InvalidStrategy),
)
