"""Paths in a trainer's settings that fit nothing in the model: what they are there for silently does not happen, and most come from
a release of transformers, or a class of the same model, in which a part was called otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.errors import VlmFreezeError
from ..core.tree.tree import ModuleTree
from .flags import Flag
from .name_matching import modules
from .releases import other_names
from .selection import Selection

Simulate = Callable[[Mapping[str, Any], ModuleTree], Selection]
KEYS = (
    "target_modules", "lora_target_modules", "lora_target", "modules_to_save", "lora_modules_to_save", "additional_target",
    "exclude_modules", "rank_pattern", "alpha_pattern", "unfrozen_parameters",
)  # fmt: skip
"""The settings that hold paths of modules, or the beginnings of parameters' names."""
_PATH = re.compile(r"\w+(\.\w+)+")
_NOWHERE = "no_such_module.anywhere"
_SHOWN, _TRIED = 3, 40


def names_of_nothing(
    given: Mapping[str, Any], flags: Mapping[str, Flag], simulate: Simulate, found: Selection, tree: ModuleTree
) -> list[str]:
    """A sentence for each setting that holds a path which fits nothing, here or under the names of another known release.

    Such a path lies in no module's or parameter's name, and a name that cannot exist in its place selects the same: how the trainer
    matches is left to its own rule.

    Args:
        given: The settings. Patterns, and names without a dot, are left alone: many name layers of several families at once.
        flags: What the trainer knows.
        simulate: What the trainer selects with settings.
        found: What it selects with these.
        tree: The model.
    """
    sentences = []
    trees = [tree, *(names.tree for names in other_names(tree)[0])]
    for key in KEYS:
        value = _listed(given[key], flags[key]) if key in given and key in flags else None
        missing = [name for name in value or () if (path := _path(name)) and not any(_lies_in(path, t) for t in trees)]
        missing = [n for n in missing[:_TRIED] if _same(given, key, n, simulate, found, tree)]
        if missing:
            sentences.append(_sentence(key, [_path(name) for name in missing], tree))
    return sentences


def _listed(value: object, flag: Flag) -> list[str] | None:
    """The names that a setting holds; None where it is a pattern."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")] if flag.kind == "names" else None
    return [name for name in value if isinstance(name, str)] if isinstance(value, Iterable) else None


def _path(name: str) -> str:
    """The path that a name is, without the marks of a pattern around it; "" for another pattern, or a name without a dot."""
    plain = name.removeprefix("^").removesuffix("$").removesuffix(".").replace("\\.", ".")
    return plain if _PATH.fullmatch(plain) else ""


def _lies_in(path: str, tree: ModuleTree) -> bool:
    inside = f".{path}."
    return any(inside in f".{node.path}." for node in tree.nodes)


def _same(
    given: Mapping[str, Any], key: str, name: str, simulate: Simulate, found: Selection, tree: ModuleTree
) -> bool:
    value = given[key]
    if isinstance(value, Mapping):
        other: object = {(_NOWHERE if k == name else k): v for k, v in value.items()}
    else:
        names = value.split(",") if isinstance(value, str) else value
        other = [_NOWHERE if n.strip() == name else n.strip() for n in names]
    try:
        there = simulate({**given, key: other}, tree)
    except VlmFreezeError:
        return False
    return (there.trainable, there.lora, there.copied) == (found.trainable, found.lora, found.copied)


def alike(name: str, tree: ModuleTree) -> str | None:
    """The module that a path may mean: the one whose end and, then, whose segments agree with it best; None where two do."""
    wanted = name.split(".")
    best: dict[tuple[int, int], list[str]] = {}
    for node in modules(tree):
        parts = node.path.split(".")
        end = next((i for i, (a, b) in enumerate(zip(reversed(wanted), reversed(parts), strict=False)) if a != b), None)
        shared = min(len(wanted), len(parts)) if end is None else end
        best.setdefault((shared, len(set(wanted) & set(parts))), []).append(node.path)
    (shared, _), found = max(best.items())
    return found[0] if shared and len(found) == 1 else None


def _sentence(key: str, missing: list[str], tree: ModuleTree) -> str:
    shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
    many = len(missing) > 1
    what = (
        f"{len(missing)} names fit nothing in this model and are"
        if many
        else "a name fits nothing in this model and is"
    )
    other = alike(missing[0], tree)
    hint = f" {missing[0]} may be what is {other} here." if other else ""
    return f"{key}: {what} passed over: {shown}.{hint} Releases of transformers differ in names."
