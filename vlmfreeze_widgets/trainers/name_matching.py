"""Matching on names alone, as trainers do it: substrings, prefixes, suffixes, last segments. Which of them a trainer uses is in
its own file; PEFT's rule, which several share, is in ``peft_rule``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ..core.errors import TrainerRefuses
from ..core.shorten import shorten
from ..core.tree.tree import ModuleTree, Node

_LONGEST_PATTERN = 200_000  # characters; ms-swift's own pattern of every path of a large model has tens of thousands
_NESTED_REPEAT = re.compile(r"[*+}][?+]?\)+(?:[*+]|\{\d*,)")  # (a+)+ needs time that doubles with each character


def modules(tree: ModuleTree) -> list[Node]:
    """What ``named_modules()`` lists: every module once, under its first name, without the root."""
    return [node for node in tree.nodes if node.kind == "module" and node.path and not node.same_as]


def parameter_names(tree: ModuleTree) -> list[str]:
    """What ``named_parameters()`` lists: every tensor once, under its first name, in order of registration."""
    return [p.name for p in tree.parameters if not p.is_alias]


def contains_any(name: str, keys: Iterable[str]) -> bool:
    """Whether a key is a substring; no boundaries, so ``layers.1`` is in ``layers.10`` too."""
    return any(key in name for key in keys)


def starts_with_any(name: str, keys: Iterable[str]) -> bool:
    """Whether a key is a prefix; no boundaries."""
    return any(name.startswith(key) for key in keys)


def has_suffix(name: str, suffixes: Iterable[str]) -> bool:
    """Whether the name is one of the suffixes or ends in one at a dot."""
    return any(name == s or name.endswith(f".{s}") for s in suffixes)


def adapted_kind(tree: ModuleTree, place: str) -> str:
    """What PEFT takes a place of an adapter for: a module by its class, "" for a parameter itself (a router's)."""
    return tree.by_path[place].peft_kind if place in tree.by_path else ""


def is_linear_by_class(node: Node) -> bool:
    """Whether the class calls itself linear, which is how LLaMA-Factory and ms-swift know a linear layer."""
    return "linear" in node.class_name.lower()


def chosen(names: Iterable[str], wanted: Callable[[str], bool]) -> frozenset[str]:
    """The names for which a rule holds."""
    return frozenset(name for name in names if wanted(name))


def pattern_of(text: str, trainer: str) -> re.Pattern[str]:
    """A regular expression from outside, compiled.

    Raises:
        TrainerRefuses: It is none, so that the trainer stops too; or it is one that could run for hours on a name.
    """
    try:
        if len(text) > _LONGEST_PATTERN:
            raise re.error(f"{len(text):,} characters")
        if _NESTED_REPEAT.search(text):
            raise re.error("a repeated group that ends in a repetition")
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise TrainerRefuses(
            f"{trainer} is given a pattern that cannot be used.",
            expected="a regular expression",
            found=f"{shorten(text, 60)!r}: {error}",
            remedy="Mend the pattern.",
        ) from error


def shortest_suffixes(wanted: Iterable[str], others: Iterable[str]) -> list[str]:
    """For each wanted path the shortest dotted suffix that no other path ends in; the list in the order of the paths.

    Several wanted paths may share one suffix (``q_proj``), which is then given once.
    """
    wanted = list(dict.fromkeys(wanted))
    keep = set(wanted)
    taken: set[str] = set()
    for other in others:
        if other not in keep:
            parts = other.split(".")
            taken.update(".".join(parts[i:]) for i in range(len(parts)))
    found: dict[str, None] = {}
    for path in wanted:
        parts = path.split(".")
        suffixes = (".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1))
        found[next((s for s in suffixes if s not in taken), path)] = None
    return list(found)
