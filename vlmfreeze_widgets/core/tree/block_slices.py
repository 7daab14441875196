"""Slices of blocks, as in ``model.layers[3::5].mlp``: read, written and narrowed. Other targets are in ``core.tree.selectors``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import InvalidStrategy
from .node import Node

if TYPE_CHECKING:
    from .tree import ModuleTree

_SLICE = re.compile(r"(?P<path>[^\[\]]+)(?P<tail>(?:\[[-+:\d ]+\](?:\.[^\[\]]+)?)+)")
_BRACKETS = re.compile(r"\[(?P<index>[^\[\]]+)\](?:\.(?P<rest>[^\[\]]+))?")
_LEAST_PROGRESSION = 3  # two indices far apart read better as two indices


def is_slice(text: str) -> bool:
    """Whether a target is written as one: a path, then brackets that hold numbers."""
    return _SLICE.fullmatch(text) is not None


def slice_places(text: str, tree: ModuleTree) -> tuple[str, ...]:
    """The paths that a slice names.

    Several pairs of brackets choose one inside the other, and ``+`` joins indices: ``layers[0:3+4:8].experts[0].up_proj``.

    Raises:
        UnknownTarget: It names nothing here.
        InvalidStrategy: It cannot be read, or selects no block.
    """
    places = tuple(place for _, _, place in _chosen(text, tree))
    for place in places:
        if place not in tree.by_path and place not in tree.by_name:
            raise tree.unknown(place)
    return places


def narrowed(text: str, keep: Callable[[str], bool], tree: ModuleTree) -> list[str]:
    """Slices that name only those places of a slice which are kept; none when nothing is."""
    chosen = list(_chosen(text, tree))
    kept: dict[str, list[int]] = {}
    for holder, position, place in chosen:
        kept.setdefault(holder.path, []).extend([position] if keep(place) else [])
    alike: dict[str, list[str]] = {}
    for path, positions in kept.items():
        if positions:
            count = len(blocks_of(tree[path]))
            alike.setdefault(index_text(sorted(positions), count), []).append(path)
    head, _, rest = _last(text)
    found: list[str] = []
    for index, holders in alike.items():
        wanted = frozenset(holders)
        heads = [head] if len(wanted) == len(kept) else narrowed(head, wanted.__contains__, tree)
        found += [f"{h}[{index}]{f'.{rest}' if rest else ''}" for h in heads]
    return found


def blocks_of(holder: Node) -> list[Node]:
    """What a slice counts: the module children, not the bare parameters beside them."""
    return [child for child in holder.children if child.kind == "module"]


def ranges(positions: Sequence[int]) -> list[tuple[int, int, int]]:
    """Ascending numbers as (first, stop, step): one triple for an arithmetic progression, else one per unbroken run."""
    first, last, n = positions[0], positions[-1], len(positions)
    step = positions[1] - first if n > 1 else 1
    if (step == 1 or n >= _LEAST_PROGRESSION) and list(positions) == list(range(first, last + 1, step)):
        return [(first, last + 1, step)]
    found: list[tuple[int, int, int]] = []
    for position in positions:
        if found and found[-1][1] == position:
            found[-1] = (found[-1][0], position + 1, 1)
        else:
            found.append((position, position + 1, 1))
    return found


def index_text(positions: Sequence[int], count: int) -> str:
    """What stands between the brackets: "0:32", "3::5", "0:3+4:8+9", for ascending places among ``count`` blocks."""
    parts = ranges(positions)
    if len(parts) == 1 and parts[0][2] > 1:
        first, stop, step = parts[0]
        return f"{first}::{step}" if stop - 1 + step >= count else f"{first}:{stop}:{step}"
    return "+".join(f"{first}:{stop}" if stop - first > 1 else str(first) for first, stop, _ in parts)


def _last(text: str) -> tuple[str, str, str]:
    """(what stands before the last brackets, what is in them, the path after them)."""
    *_, match = _BRACKETS.finditer(text)
    return text[: match.start()], match["index"], match["rest"] or ""


def _chosen(text: str, tree: ModuleTree) -> Iterator[tuple[Node, int, str]]:
    """(holder, position, place) of each block that the last brackets choose."""
    head, index, rest = _last(text)
    for holder in _holders(head, tree):
        blocks = blocks_of(holder)
        for position in _positions(text, index, holder, len(blocks)):
            path = blocks[position].path
            yield holder, position, f"{path}.{rest}" if rest else path


def _holders(head: str, tree: ModuleTree) -> list[Node]:
    if is_slice(head):
        return [tree[place] for _, _, place in _chosen(head, tree)]
    if head not in tree.components:
        return [tree[head]]
    blocks = tree.blocks(head)
    if blocks is None:
        raise InvalidStrategy(
            f"The {head} has no repeated blocks to slice.",
            expected="a component with a list of blocks",
            found=head,
            remedy="Name a path instead.",
        )
    return [blocks]


def _positions(text: str, index: str, holder: Node, count: int) -> list[int]:
    try:
        positions = list(dict.fromkeys(p for term in index.split("+") for p in _places(term, count)))
    except ValueError as error:
        raise InvalidStrategy(
            f"The slice in {text!r} cannot be read.",
            expected="an index or start:stop:step as in Python, or several joined by '+'",
            found=index,
            remedy="Write, for example, blocks[-2:].",
        ) from error
    if not positions:
        raise InvalidStrategy(
            f"{text!r} selects no block.",
            expected=f"an index within 0..{count - 1}",
            found=index,
            remedy=f"{holder.path} has {count} blocks.",
        )
    return positions


def _places(term: str, count: int) -> range:
    """The places that "3", "-1", "0:8" or "3::5" name among ``count``."""
    bounds = [int(s) if s.strip() else None for s in term.split(":")]
    if len(bounds) > 3 or bounds == [None] or bounds[2:] == [0]:
        raise ValueError(term)
    if len(bounds) == 1:
        at = bounds[0] or 0
        return range(count)[at : at + 1 or None]
    return range(count)[slice(*bounds)]
