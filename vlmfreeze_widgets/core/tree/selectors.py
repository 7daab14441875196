"""Targets: how the left side of a rule finds its places in a tree. What the rule then does is not decided here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import translate
from typing import Literal

from ..errors import InvalidStrategy
from ..shorten import shorten
from .block_slices import is_slice, slice_places
from .patterns import may_explode
from .tree import ModuleTree, Node

TargetKind = Literal["component", "regex", "glob", "slice", "path"]
# At equal depth the more explicit way of naming wins: a path that was written out beats a pattern, a pattern a component.
_RANK: dict[TargetKind, int] = {"component": 0, "regex": 1, "glob": 2, "slice": 3, "path": 4}
_BLOCK_PATTERN_LIMIT = 500  # characters; a longer regular expression is a mistake or an attack


@dataclass(frozen=True)
class Target:
    """A rule's left side met with one tree.

    Attributes:
        text: As written.
        kind: Which of the five ways of naming it is.
        places: Paths of the nodes or parameters that it names; a component's are the paths that it owns.
    """

    text: str
    kind: TargetKind
    places: tuple[str, ...]

    def specificity(self, place: str) -> tuple[int, int]:
        """Orders matches: first how deep the matched place lies, then how explicitly it was named."""
        return (place.count(".") + 1 if place else 0, _RANK[self.kind])


def find_target(text: str, tree: ModuleTree) -> Target:
    """Finds what a target names.

    Args:
        text: Component, path, slice, glob or ``re:pattern``. ``*`` in a glob also crosses dots, as in PEFT and fnmatch.
        tree: Where to look.

    Raises:
        UnknownTarget: It names nothing here.
        InvalidStrategy: A slice or pattern that cannot be read.
    """
    if text in tree.components:
        return Target(text, "component", tree.components[text])
    if text in tree.by_path or text in tree.by_name:
        return Target(text, "path", (text,))
    if text.startswith("re:"):
        return Target(text, "regex", _found(_first_matches(tree, _regex(text)), text, tree))
    if is_slice(text):
        return Target(text, "slice", slice_places(text, tree))
    if any(c in text for c in "*?["):
        pattern = re.compile(translate(text))
        return Target(text, "glob", _found(_first_matches(tree, lambda p: pattern.match(p) is not None), text, tree))
    raise tree.unknown(text)


def _first_matches(tree: ModuleTree, matches: Callable[[str], bool]) -> list[str]:
    """Where a pattern first bites on the way down: ``model.visual*`` is ``model.visual``, not each of its leaves."""
    found: list[str] = []

    def down(node: Node) -> None:
        if node.path and matches(node.path):
            found.append(node.path)
            return
        held = {child.path for child in node.children}
        found.extend(p.name for p in node.parameters if p.name not in held and matches(p.name))
        for child in node.children:
            down(child)

    down(tree.root)
    return found


def _found(places: Iterable[str], text: str, tree: ModuleTree) -> tuple[str, ...]:
    found = tuple(places)
    if not found:
        raise tree.unknown(text)
    return found


def _regex(text: str) -> Callable[[str], bool]:
    source = text.removeprefix("re:")
    try:
        if len(source) > _BLOCK_PATTERN_LIMIT:
            raise re.error(f"{len(source)} characters, more than {_BLOCK_PATTERN_LIMIT}")
        pattern = re.compile(source)
        if may_explode(source):
            raise re.error("a repetition inside a repetition, or more of them than four: on a long name it never ends")
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidStrategy(
            f"The pattern {shorten(text, 60)!r} cannot be read.",
            expected="a Python regular expression after 're:'",
            found=str(error),
            remedy="Mend the pattern, or use a glob such as '*.q_proj'.",
        ) from error
    return lambda path: pattern.fullmatch(path) is not None
