"""What a user wants: rules "target -> tuning", learning rates, a name. A value; ``core.strategy.resolve`` meets it with a
tree.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..arguments import PATH, TEXT, checked, found_for
from ..atomic_files import replace_file
from ..errors import InvalidStrategy, UnknownTarget, did_you_mean
from ..language.format import listed
from ..text_files import load_text_file
from .tuning import Tuning, as_tuning, tuning_to_dict

_FIELDS = ("version", "name", "rules", "lr", "weight_decay")


@dataclass(frozen=True, init=False)
class Strategy:
    """Rules about what trains, and how fast.

    A target is a component (``"projector"``), a path (``"model.visual.merger"``), a slice of blocks
    (``"model.visual.blocks[-2:]"``, ``"language_model[-4:]"``, ``"model.layers[0:3+4:8].mlp"``), a glob (``"*.q_proj"``) or
    a regular expression (``"re:.*norm"``). The most specific rule wins: the one whose matched place lies nearest to the
    parameter. What no rule reaches is frozen.

    Attributes:
        rules: Target -> tuning, in the order written.
        lr: Target -> learning rate. The key "" is the rate of everything without its own.
        weight_decay: Target -> AdamW weight decay; "" as above.
        name: For people.

    Raises:
        InvalidStrategy: A tuning, rate or decay cannot be meant.
    """

    rules: Mapping[str, Tuning]
    lr: Mapping[str, float]
    weight_decay: Mapping[str, float]
    name: str

    def __init__(
        self,
        rules: Mapping[str, object] = MappingProxyType({}),
        lr: Mapping[str, float] | float | None = None,
        weight_decay: Mapping[str, float] | float | None = None,
        name: str = "",
    ) -> None:
        if not isinstance(rules, Mapping):
            raise InvalidStrategy(
                "These are not rules.",
                expected="a mapping of targets to tunings",
                found=found_for(rules),
                remedy='Write {"projector": "full"}; published strategies are chosen by name with vf.preset(...).',
            )
        frozen_rules = {_target(t): as_tuning(v) for t, v in rules.items()}
        object.__setattr__(self, "rules", MappingProxyType(frozen_rules))
        object.__setattr__(self, "lr", MappingProxyType(_numbers("lr", lr)))
        object.__setattr__(self, "weight_decay", MappingProxyType(_numbers("weight_decay", weight_decay)))
        TEXT.raising(InvalidStrategy).check("Strategy", "name", name)
        object.__setattr__(self, "name", str(name))

    def _key(self) -> tuple[object, ...]:
        return (tuple(self.rules.items()), frozenset(self.lr.items()), frozenset(self.weight_decay.items()), self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Strategy) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __reduce__(self) -> tuple[object, ...]:
        return (Strategy.from_dict, (self.to_dict(),))

    def with_rule(self, target: str, tuning: object) -> Strategy:
        """The same with one rule more, or changed in place.

        Args:
            target: A component, path, slice, glob or regular expression.
            tuning: "frozen", "full", "lora", or a tuning.
        """
        return Strategy({**self.rules, target: tuning}, self.lr, self.weight_decay, self.name)

    @checked(target=TEXT.raising(InvalidStrategy))
    def without_rule(self, target: str) -> Strategy:
        """The same without the rule for a target (and without its rate).

        Raises:
            UnknownTarget: There is neither; the message gives the nearest.
        """
        if target not in self.rules and target not in self.lr:
            named = [*self.rules, *(t for t in self.lr if t)]
            raise UnknownTarget(
                f"There is no rule for {target!r}.",
                expected=listed([repr(name) for name in named]) if named else "a rule: this strategy has none",
                found=found_for(target),
                remedy=did_you_mean(str(target), named) or "print(strategy.rules) shows them all.",
            )
        rules = {t: v for t, v in self.rules.items() if t != target}
        lr = {t: v for t, v in self.lr.items() if t != target}
        return Strategy(rules, lr, self.weight_decay, self.name)

    @checked(target=TEXT.raising(InvalidStrategy))
    def with_lr(self, target: str, lr: float | None) -> Strategy:
        """The same with another learning rate for a target.

        Args:
            target: As of a rule; "" is everything without its own rate.
            lr: The rate; None removes it.
        """
        rates = {t: v for t, v in self.lr.items() if t != target}
        if lr is not None:
            rates[target] = lr
        return Strategy(self.rules, rates, self.weight_decay, self.name)

    def diff(self, other: Strategy) -> dict[str, tuple[object, object]]:
        """What differs: "rules.projector" -> (here, there); None where one side has nothing."""
        changes: dict[str, tuple[object, object]] = {}
        for part in ("rules", "lr", "weight_decay"):
            here, there = getattr(self, part), getattr(other, part)
            for target in dict.fromkeys([*here, *there]):
                if here.get(target) != there.get(target):
                    changes[f"{part}.{target}"] = (here.get(target), there.get(target))
        return changes

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and YAML."""
        return {
            "version": 1,
            "name": self.name,
            "rules": {target: tuning_to_dict(tuning) for target, tuning in self.rules.items()},
            "lr": dict(self.lr),
            "weight_decay": dict(self.weight_decay),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Strategy:
        """Reads what ``to_dict`` wrote.

        Raises:
            InvalidStrategy: Unknown version or field; nothing is dropped in silence.
        """
        if not isinstance(data, Mapping):
            raise _unreadable("a mapping with the key 'rules'", type(data).__name__)
        for key in data:
            if key not in _FIELDS:
                hint = did_you_mean(str(key), _FIELDS) or f"Known fields: {', '.join(_FIELDS)}."
                raise InvalidStrategy(
                    f"A strategy has no field {key!r}.", expected=", ".join(_FIELDS), found=repr(key), remedy=hint
                )
        if data.get("version", 1) != 1:
            raise _unreadable("version 1", f"version {data['version']!r}")
        for part, kind in (("rules", Mapping), ("lr", Mapping | int | float), ("weight_decay", Mapping | int | float)):
            if data.get(part) is not None and not isinstance(data[part], kind):
                raise _unreadable(f"a mapping under {part!r}", type(data[part]).__name__)
        return cls(data.get("rules") or {}, data.get("lr"), data.get("weight_decay"), data.get("name") or "")

    @checked(path=PATH)
    def save(self, path: str | Path) -> Path:
        """Writes the strategy as YAML (.yaml, .yml) or JSON (any other ending), in one piece, and returns the path.

        Raises:
            CannotSave: Disk full, no folder, no permission; a file that was there is as it was.
        """
        path = Path(path)
        if path.suffix in (".yaml", ".yml"):
            from ...adapters import yaml_text

            text = yaml_text.dump(self.to_dict())
        else:
            text = json.dumps(self.to_dict(), indent=2) + "\n"
        return replace_file(path, text)

    @classmethod
    @checked(path=PATH)
    def load(cls, path: str | Path) -> Strategy:
        """Reads a file that ``save`` or a user wrote.

        Raises:
            InvalidStrategy: Not a strategy, or a file that cannot be read; the message names it.
        """
        return cls.from_dict(load_text_file(path, "a strategy", "strategy.save(path) writes such a file."))


def _target(target: object) -> str:
    if isinstance(target, str) and target:
        return target
    raise _target_error(target)


def _target_error(target: object) -> InvalidStrategy:
    return InvalidStrategy(
        "A rule needs a target.",
        expected="a component, path, slice, glob or re:pattern",
        found=found_for(target),
        remedy="Write, for example, {'projector': 'full'}.",
    )


def _numbers(what: str, values: Mapping[str, float] | float | None) -> dict[str, float]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        values = {"": values}
    read: dict[str, float] = {}
    for target, value in values.items():
        if not isinstance(target, str):
            raise _target_error(target)
        # YAML 1.1 readers give "1e-5" as a string; a user's 1e-5 is a number wherever it comes from.
        try:
            number = float(value) if not isinstance(value, bool) else math.nan
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise InvalidStrategy(
                f"The {what} of {target or 'the whole strategy'!r} cannot be used.",
                expected="a finite number of at least 0",
                found=found_for(value),
                remedy="Write, for example, 1e-4.",
            )
        read[target] = number
    return read


def _unreadable(expected: str, found: str) -> InvalidStrategy:
    return InvalidStrategy(
        "This is not a strategy.",
        expected=expected,
        found=found,
        remedy="Strategy({'projector': 'full'}).to_dict() shows the form.",
    )
