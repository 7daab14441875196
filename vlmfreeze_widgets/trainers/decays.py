"""A trainer's weight decays, one per name, written as the few patterns that a user would write; single names where none fits."""

from __future__ import annotations

import re
from collections import Counter

from ..core.strategy.resolve import Lookup
from ..core.tree.tree import ModuleTree
from .selection import Selection

_SIDES = (".lora_A", ".lora_B")


def decay_rules(selection: Selection, tree: ModuleTree, usual: float | None = None) -> dict[str, float] | None:
    """Target -> decay for ``Strategy.weight_decay``.

    Args:
        selection: What trains, with the decay of each.
        tree: It was found on.
        usual: For everything without a decay of its own.

    Returns:
        "" for most, patterns of last names ("re:.*\\.bias") or of blocks for what differs; None where nothing is known.
    """
    if not selection.decay:
        return None if usual is None else {"": usual}
    held = {_place(name): decay for name, decay in selection.decay.items()}
    most = max(Counter(held.values()).items(), key=lambda pair: (pair[0] == usual, pair[1]))[0]
    apart = {place: decay for place, decay in held.items() if decay != most}
    rules: dict[str, float] = {"": most}
    for decay in dict.fromkeys(apart.values()):
        rules |= dict.fromkeys(_patterns({p for p, d in apart.items() if d == decay}, held), decay)
    found = Lookup(tree, rules)
    if all(rules[found.decide(place) or ""] == decay for place, decay in held.items()):
        return rules
    return {"": most, **apart}


def _place(name: str) -> str:
    return name.rpartition(".")[0] if name.endswith(_SIDES) else name


def _patterns(places: set[str], held: dict[str, float]) -> list[str]:
    """Last names where all of that name are meant; else names with any number in them; else the names themselves."""
    by_last: dict[str, set[str]] = {}
    for place in held:
        by_last.setdefault(_last(place), set()).add(place)
    shared = [last for last in dict.fromkeys(map(_last, sorted(places))) if by_last[last] <= places]
    found = [rf"re:(.*\.)?({'|'.join(map(re.escape, shared))})"] if shared else []
    shapes: dict[str, set[str]] = {}
    for place in held:
        shapes.setdefault(_shape(place), set()).add(place)
    for shape in dict.fromkeys(_shape(place) for place in sorted(places) if _last(place) not in shared):
        mine = shapes[shape] & places
        whole = mine == shapes[shape] and len(mine) > 1
        found += [f"re:{shape}"] if whole else sorted(mine)
    return found


def _last(place: str) -> str:
    """The module that holds a weight, the parameter's own name for anything else."""
    holder, _, leaf = place.rpartition(".")
    return holder.rpartition(".")[2] if leaf == "weight" and holder else leaf


def _shape(place: str) -> str:
    return re.sub(r"(?<=\\\.)\d+(?=\\\.|$)", r"\\d+", re.escape(place))
