"""What was otherwise in another run: strategy by component, settings, model, data, releases, and how far the curves lie apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..numbers import number
from ..strategy.strategy import Strategy
from ..tree.components import LABELS
from .history import History

Pair = tuple[object, object]


@dataclass(frozen=True)
class RunFacts:
    """What is compared of one run.

    Attributes:
        name: For people.
        strategy: What trained.
        settings: Of its burst.
        versions: Of what computed it.
        model: Title and identity; empty where unknown.
        data: Of the first step.
        words: Step -> digest of what it read.
        history: Its steps.
    """

    name: str
    strategy: Strategy
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    words: Mapping[int, str]
    history: History


@dataclass(frozen=True)
class RunDiff:
    """Two runs side by side; (here, there) everywhere, None where one side has nothing.

    Attributes:
        names: Of the two.
        strategy: "rules.projector", "lr.projector", ... -> what was set.
        settings: Setting -> values.
        versions: Library -> releases.
        model: "title", "identity", ... -> values.
        same_data: Whether both read the same; None where that is not known.
        data_apart_at: The first step that read other words; None where none is known to.
        curves: One entry per step that both took: "step", "loss", "eval_loss", "grad_norm", each (here, there).
        same_until: The last step up to which all losses and norms are equal, bit for bit; 0 if the first differs.
    """

    names: tuple[str, str]
    strategy: Mapping[str, Pair]
    settings: Mapping[str, Pair]
    versions: Mapping[str, Pair]
    model: Mapping[str, Pair]
    same_data: bool | None
    data_apart_at: int | None
    curves: tuple[Mapping[str, Any], ...] = field(repr=False)
    same_until: int = 0

    @property
    def components(self) -> dict[str, dict[str, Pair]]:
        """Component or other target -> "tuning", "lr", "weight_decay" -> values that differ."""
        found: dict[str, dict[str, Pair]] = {}
        for what, pair in self.strategy.items():
            part, _, target = what.partition(".")
            found.setdefault(target, {})["tuning" if part == "rules" else part] = pair
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "names": list(self.names),
            "components": {t: {k: _texts(p) for k, p in parts.items()} for t, parts in self.components.items()},
            **{
                part: {k: _texts(p) for k, p in getattr(self, part).items()}
                for part in ("settings", "versions", "model")
            },
            "same_data": self.same_data,
            "data_apart_at": self.data_apart_at,
            "same_until": self.same_until,
            "curves": [
                {name: pair if name == "step" else [number(v) for v in pair] for name, pair in row.items()}
                for row in self.curves
            ],
        }

    def __str__(self) -> str:
        lines = [f"{self.names[0]} | {self.names[1]}"]
        for target, parts in self.components.items():
            label = LABELS.get(target, target or "all others")
            lines += [
                f"  {label} {what}: {_value_text(here)} | {_value_text(there)}" for what, (here, there) in parts.items()
            ]
        for part in (self.settings, self.model, self.versions):
            lines += [f"  {name}: {_value_text(here)} | {_value_text(there)}" for name, (here, there) in part.items()]
        lines.append(f"  data: {self.data_words}")
        if self.curves:
            last = self.curves[-1]
            lines.append(f"  loss at step {last['step']}: {last['loss'][0]:.4g} | {last['loss'][1]:.4g}")
            held_out = next((row["eval_loss"] for row in reversed(self.curves) if None not in row["eval_loss"]), None)
            if held_out is not None:
                lines.append(f"  held-out loss: {held_out[0]:.4g} | {held_out[1]:.4g}")
        alike = "not one step" if not self.same_until else f"up to step {self.same_until}"
        lines.append(f"  equal bit for bit: {alike}")
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def data_words(self) -> str:
        """Whether both read the same, in words."""
        if self.data_apart_at is not None:
            return f"other words from step {self.data_apart_at} on"
        return "not known" if self.same_data is None else "the same" if self.same_data else "other"


def compare(here: RunFacts, there: RunFacts) -> RunDiff:
    """Compares two runs; the first is "here"."""
    curves: tuple[Mapping[str, Any], ...] = tuple(
        {"step": a.step, "loss": (a.loss, b.loss), "eval_loss": (a.eval_loss, b.eval_loss),
         "grad_norm": (a.grad_norm, b.grad_norm)}
        for a, b in zip(here.history, there.history, strict=False)
    )  # fmt: skip
    same_until = 0
    for row in curves:
        if any(pair[0] != pair[1] for name, pair in row.items() if name in ("loss", "grad_norm")):
            break
        same_until = row["step"]
    apart = next(
        (step for step in sorted(here.words) if step and step in there.words and here.words[step] != there.words[step]),
        None,
    )
    same: bool | None = None
    if here.data and there.data:
        same = apart is None and here.data.get("sha256") == there.data.get("sha256")
    return RunDiff(
        names=(here.name, there.name),
        strategy=here.strategy.diff(there.strategy),
        settings=_apart(here.settings, there.settings),
        versions=_apart(here.versions, there.versions) if here.versions and there.versions else {},
        model=_apart(here.model, there.model) if here.model and there.model else {},
        same_data=same,
        data_apart_at=apart,
        curves=curves,
        same_until=same_until,
    )


def _apart(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Pair]:
    names = dict.fromkeys([*here, *there])
    return {name: (here.get(name), there.get(name)) for name in names if here.get(name) != there.get(name)}


def _texts(pair: Pair) -> list[Any]:
    return [v if v is None or isinstance(v, int | float | str | bool) else str(v) for v in pair]


def _value_text(value: object) -> str:
    return "–" if value is None else str(value)
