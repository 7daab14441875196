"""The three tunings: frozen, full and LoRA. Values only; what they do to a model is in ``engine.apply.apply``."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

from ..arguments import fields_checked, found_for, is_flag
from ..errors import InvalidStrategy, nearest
from ..tree.node import Node


@dataclass(frozen=True)
class Frozen:
    """The weights stay bit-identical."""

    kind: ClassVar[str] = "frozen"
    letter: ClassVar[str] = "F"

    def __str__(self) -> str:
        return "frozen"


@dataclass(frozen=True)
class Full:
    """Every weight trains."""

    kind: ClassVar[str] = "full"
    letter: ClassVar[str] = "T"

    def __str__(self) -> str:
        return "full"


@dataclass(frozen=True)
class Lora:
    """A low-rank adapter beside frozen weights (Hu et al. 2021, arXiv:2106.09685). PEFT's words keep PEFT's meaning.

    Attributes:
        rank: PEFT's ``r``. Alpha does not follow it: ``Lora(rank=8)`` has alpha 32 and scales its update by 4, where
            ``Lora(rank=16)`` scales by 2. Give both, or use rslora, to change the rank alone.
        alpha: PEFT's ``lora_alpha``; the update is scaled by ``alpha / rank`` (``alpha / sqrt(rank)`` with rslora).
        dropout: PEFT's ``lora_dropout``.
        targets: ``"all-linear"`` (every linear layer of the place it is set on; the head only when named itself),
            or the last path segments of the wanted modules, such as ``("q_proj", "v_proj")``.
        use_dora: Weight-decomposed LoRA (arXiv:2402.09353).
        use_rslora: Rank-stabilised scaling (arXiv:2312.03732).
        loraplus_lr_ratio: LoRA+ (Hayou et al. 2024, arXiv:2402.12354): lora_B, and the magnitudes of DoRA, learn at so many
            times the learning rate of lora_A, as with PEFT's ``create_loraplus_optimizer``; the paper takes 16. None: one rate
            for all of an adapter. Rules may differ in it.

    Raises:
        InvalidStrategy: A value is out of range.
    """

    rank: int = 16
    alpha: float = 32
    dropout: float = 0.0
    targets: str | tuple[str, ...] = "all-linear"
    use_dora: bool = False
    use_rslora: bool = False
    loraplus_lr_ratio: float | None = None

    kind: ClassVar[str] = "lora"
    letter: ClassVar[str] = "L"

    def __post_init__(self) -> None:
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or self.rank < 1:
            raise _bad_value("rank", "a whole number of at least 1", self.rank)
        if not _is_number(self.alpha) or self.alpha <= 0:
            raise _bad_value("alpha", "a finite number above 0", self.alpha)
        if not _is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise _bad_value("dropout", "a number from 0 up to, not including, 1", self.dropout)
        for switch in ("use_dora", "use_rslora"):
            if not is_flag(getattr(self, switch)):
                raise _bad_value(switch, "True or False", getattr(self, switch))
        ratio = self.loraplus_lr_ratio
        if ratio is not None and (not _is_number(ratio) or ratio <= 0):
            raise _bad_value("loraplus_lr_ratio", "a finite number above 0, or None", ratio, example=16.0)
        if not isinstance(self.targets, str):
            names = tuple(self.targets) if isinstance(self.targets, Iterable) else ()
            if not names or isinstance(self.targets, Mapping) or not all(isinstance(name, str) for name in names):
                raise _bad_value("targets", "'all-linear' or at least one module name", self.targets)
            object.__setattr__(self, "targets", names)
        elif self.targets != "all-linear":
            object.__setattr__(self, "targets", (self.targets,))

    @property
    def scaling(self) -> float:
        """The factor on B·A."""
        return self.alpha / math.sqrt(self.rank) if self.use_rslora else self.alpha / self.rank

    def adapter_params(self, in_features: int, out_features: int, copies: int = 1) -> int:
        """Parameters of one adapter: ``r·(in + out)``, and one magnitude per output with DoRA.

        Args:
            in_features: Of the layer.
            out_features: Of the layer.
            copies: Layers in a stack of experts; each has an adapter of its own.
        """
        return copies * (self.rank * (in_features + out_features) + (out_features if self.use_dora else 0))

    @property
    def b_lr_factor(self) -> float:
        """The learning rate of lora_B over that of lora_A: 1 without LoRA+."""
        return 1.0 if self.loraplus_lr_ratio is None else float(self.loraplus_lr_ratio)

    def __repr__(self) -> str:
        shown = [f.name for f in fields(self) if f.name != "loraplus_lr_ratio" or self.loraplus_lr_ratio is not None]
        return f"Lora({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def __str__(self) -> str:
        return f"LoRA r{self.rank}{faster_b(self.loraplus_lr_ratio)}"


fields_checked(Lora)
Tuning: TypeAlias = Frozen | Full | Lora


def faster_b(ratio: float | None) -> str:
    """ " (B lr ×16)" behind the name of an adapter with LoRA+, "" without."""
    return "" if ratio is None else f" (B lr ×{ratio:g})"


FROZEN = Frozen()
FULL = Full()
KINDS: tuple[str, ...] = ("frozen", "lora", "full")


def as_tuning(value: object) -> Tuning:
    """Reads a tuning from what a user, a file or a page may write.

    Args:
        value: A tuning, one of "frozen", "full", "lora", or a mapping ``{"tuning": "lora", "rank": 8, ...}``.

    Raises:
        InvalidStrategy: It is none of these.
    """
    if isinstance(value, Frozen | Full | Lora):
        return value
    if isinstance(value, str):
        by_name: dict[str, Tuning] = {"frozen": FROZEN, "full": FULL, "lora": Lora()}
        if value.lower() in by_name:
            return by_name[value.lower()]
    if isinstance(value, Mapping):
        return _from_mapping(value)
    raise InvalidStrategy(
        "This is not a tuning.",
        expected='"frozen", "full", "lora" or a Lora(...)',
        found=found_for(value),
        remedy="Write one of the three words, or vf.Lora(rank=16) for other values.",
    )


def tuning_to_dict(tuning: Tuning) -> str | dict[str, Any]:
    """The plain form for JSON and YAML: a word, or for LoRA a mapping of all its values."""
    if not isinstance(tuning, Lora):
        return tuning.kind
    values = {f.name: getattr(tuning, f.name) for f in fields(tuning)}
    if not isinstance(tuning.targets, str):
        values["targets"] = list(tuning.targets)
    if tuning.loraplus_lr_ratio is None:
        del values["loraplus_lr_ratio"]  # files of people without LoRA+ stay as they were
    return {"tuning": "lora", **values}


def _from_mapping(value: Mapping[str, Any]) -> Tuning:
    known = {"tuning", *(f.name for f in fields(Lora))}
    unknown = [str(k) for k in value if k not in known]
    if unknown:
        raise InvalidStrategy(
            f"A tuning has no field {unknown[0]!r}.",
            expected=", ".join(sorted(known)),
            found=unknown[0],
            remedy=f"Did you mean {', '.join(nearest(unknown[0], known)) or 'one of these'}?",
        )
    rest = {k: v for k, v in value.items() if k != "tuning"}
    if value.get("tuning", "lora") == "lora":
        return Lora(**rest)
    if rest:
        raise InvalidStrategy(
            f"Only LoRA has the field {next(iter(rest))!r}.",
            expected="a bare word for frozen and full",
            found=found_for(dict(value)),
            remedy="Remove the field, or set the tuning to lora.",
        )
    return as_tuning(value["tuning"])


def _is_number(value: object) -> bool:
    # Compared, not math.isfinite: that raises for a whole number beyond all floats.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _bad_value(field: str, expected: str, found: object, example: object = None) -> InvalidStrategy:
    return InvalidStrategy(
        f"LoRA's {field} cannot be used.",
        expected=expected,
        found=found_for(found),
        remedy=f"Give {field} another value, for example {example or getattr(Lora, field, None)!r}.",
    )


def adapter_size(node: Node, lora: Lora) -> int:
    """Parameters that LoRA adds at a node; 0 where it cannot adapt."""
    return lora.adapter_params(*node.lora_shape, copies=node.lora_copies) if node.lora_shape is not None else 0
