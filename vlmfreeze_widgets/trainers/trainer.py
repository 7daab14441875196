"""What a trainer is to us, and the search for its settings that come nearest to a plan. The trainers themselves are in their own
files, the table of them in ``registry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import NotExpressible, TrainerRefuses
from ..core.tree import ModuleTree
from .asked import Asked
from .flags import Flag
from .selection import Selection, differences


@dataclass(frozen=True)
class Trainer:
    """One outside trainer.

    Attributes:
        name: For people.
        flags: What decides which parameters train, with its defaults.
        simulate: Flags and a tree -> what it trains.
        candidates: A plan -> settings that might do it, the plainest first.
        files: Settings, the plan, the person's own settings -> name and text.
        quirks: What of some settings is other than it looks.
        marks: Flags that only this trainer has; one of them tells whose settings they are.
    """

    name: str
    flags: Mapping[str, Flag]
    simulate: Callable[[Mapping[str, Any], ModuleTree], Selection]
    candidates: Callable[[Asked], Iterator[dict[str, Any]]]
    files: Callable[[Mapping[str, Any], Asked, Mapping[str, Any]], dict[str, str]]
    quirks: Callable[[Mapping[str, Any], ModuleTree, Selection], list[str]]
    marks: tuple[str, ...]


def nearest_settings(
    chosen: Trainer, wanted: Asked, others: Mapping[str, Any]
) -> tuple[dict[str, Any], Selection, list[str]]:
    """The first of a trainer's candidates that is exact, else the one that differs in the fewest names.

    Args:
        chosen: The trainer.
        wanted: The plan.
        others: The person's own settings; those that decide what trains win over the candidate's.

    Returns:
        Settings, what they select, and how that differs from the plan.

    Raises:
        NotExpressible: The trainer stops at each of them, or nothing trains.
    """
    best: tuple[int, dict[str, Any], Selection] | None = None
    refusal: TrainerRefuses | None = None
    decisive = {name: value for name, value in others.items() if name in chosen.flags}
    seen: list[dict[str, Any]] = []
    candidates = chosen.candidates(wanted)
    while True:
        try:
            settings = {**next(candidates), **decisive}
        except StopIteration:
            break
        except TrainerRefuses as error:  # the model itself, before any setting
            refusal = error
            break
        if settings in seen:
            continue
        seen.append(settings)
        try:
            found = chosen.simulate(settings, wanted.tree)
        except TrainerRefuses as error:
            refusal = refusal or error
            continue
        if not differences(wanted.selection, found, wanted.tree):
            return settings, found, []
        distance = _distance(wanted.selection, found)
        if found.names and (best is None or distance < best[0]):
            best = (distance, settings, found)
    if best is None:
        raise NotExpressible(
            f"{chosen.name} cannot say this strategy.",
            expected=refusal.expected if refusal else "settings under which something trains",
            found=f"{refusal.problem} {refusal.found}" if refusal else "none",
            remedy="Choose another trainer, or change the strategy.",
        ) from refusal
    return best[1], best[2], differences(wanted.selection, best[2], wanted.tree)


def _distance(wanted: Selection, found: Selection) -> int:
    """Names that train in only one of both count most, then values of adapters and rates."""
    apart = set(wanted.names) ^ set(found.names)
    both = wanted.lora.keys() & found.lora.keys()
    values = sum((a := wanted.lora[p], b := found.lora[p]) and (a.rank, a.alpha) != (b.rank, b.alpha) for p in both)
    rates = sum(found.lr.get(name) != lr for name, lr in wanted.lr.items())
    return 1000 * len(apart) + values + rates
