"""Which repeated blocks of a tree are alike, what a group of them is called, and the one target that names it.

How a folded list is printed or drawn is decided in ``core.tree.text``, ``pictures`` and the page; the page's twin of the
labels and targets is ``js/src/tree/fold_text.ts``, held to the same golden file (tests/wire/folds.json).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .block_slices import blocks_of, index_text, ranges
from .components import COMPONENTS
from .node import Node

if TYPE_CHECKING:
    from .tree import ModuleTree

_NUMBERED = re.compile(r"(?P<prefix>\D*)(?P<number>0|[1-9][0-9]{0,8})", re.ASCII)
_RANGES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks of one list that are alike.

    Attributes:
        holder: Path of the module whose children they are.
        members: The blocks, in the model's order.
        positions: Their places among the module children of the holder, as a slice counts them.
        indices: The numbers in their names; equal to the positions in a ModuleList.
        label: Short and still exact: "0–31 ×32", "every 5th from 3 ×8".
        precise: Every index: "0–2, 4–7, 9".
        targets: What a rule for exactly these blocks is called: one path or slice; paths where no slice can name them.
    """

    holder: str
    members: tuple[Node, ...]
    positions: tuple[int, ...]
    indices: tuple[int, ...]
    label: str
    precise: str
    targets: tuple[str, ...]

    @property
    def representative(self) -> Node:
        """The first of the blocks; the others differ in nothing but their number."""
        return self.members[0]

    @property
    def times(self) -> int:
        """How many blocks there are."""
        return len(self.members)

    @property
    def total_params(self) -> int:
        """Elements of all blocks together."""
        return sum(node.total_params for node in self.members)


def signatures(root: Node) -> dict[str, int]:
    """Path -> a number that is equal for subtrees that are alike, in one pass from the leaves up.

    Alike means: the same classes, child names, components, and tensors of the same local name, shape, dtype and sharing.
    The name of the subtree's own top does not count.
    """
    numbers: dict[Hashable, int] = {}
    found: dict[str, int] = {}
    for node in reversed(tuple(root.walk())):
        skip = len(node.path) + 1 if node.path else 0
        key = (
            node.class_name,
            node.kind,
            node.component,
            node.adaptable,
            node.lora_shape,
            # A bare parameter's one tensor is called like the node itself.
            tuple((p.name[skip:], p.shape, p.dtype, p.component, p.nbytes, p.is_alias) for p in node.parameters),
            tuple((child.path[skip:], found[child.path]) for child in node.children),
        )
        found[node.path] = numbers.setdefault(key, len(numbers))
    return found


def folds(
    holder: Node, known: Mapping[str, int] | None = None, apart: Callable[[Node], Hashable] | None = None
) -> tuple[Fold, ...]:
    """The numbered children of a module, grouped by what is alike; a block like no other is a group of one.

    Args:
        holder: Any module: a ModuleList, a Sequential, a ModuleDict of "layer_0", "layer_1", ...
        known: ``signatures`` of a tree that contains it; computed when not given.
        apart: Tells further differences, such as how a block trains: blocks of different values are not grouped.

    Returns:
        Groups in the order of their first block; together they hold each numbered child once. Empty when fewer than two
        children are numbered.
    """
    numbered = _numbered(holder)
    if len(numbered) < 2:
        return ()
    known = signatures(holder) if known is None else known
    groups: dict[Hashable, list[tuple[int, str, int, Node]]] = {}
    for entry in numbered:
        _, prefix, _, node = entry
        groups.setdefault((known[node.path], prefix, apart(node) if apart else None), []).append(entry)
    count = len(blocks_of(holder))
    return tuple(_fold(holder, members, count) for members in groups.values())


def tree_folds(tree: ModuleTree, known: Mapping[str, int] | None = None) -> Iterator[Fold]:
    """Every group of at least two blocks that are alike, outer lists before the lists inside them."""
    known = signatures(tree.root) if known is None else known
    for node in tree.nodes:
        yield from (fold for fold in folds(node, known) if fold.times > 1)


def folded_children(
    node: Node, known: Mapping[str, int], apart: Callable[[Node], Hashable] | None = None
) -> list[tuple[Node, str, int]]:
    """The children as they are shown: (child or representative, label, times), in the model's order.

    A list of nothing but equal blocks is one child with them: "layers 0–31 ×32", and what is inside it is a block's.
    """
    groups = {fold.representative.path: fold for fold in folds(node, known, apart) if fold.times > 1}
    hidden = {member.path for fold in groups.values() for member in fold.members[1:]}
    shown: list[tuple[Node, str, int]] = []
    for child in node.children:
        if child.path in hidden:
            continue
        if (fold := groups.get(child.path)) is not None:
            shown.append((child, fold.label, fold.times))
        elif (whole := folds(child, known, apart)) and 1 < whole[0].times == len(child.children):
            shown.append((whole[0].representative, f"{child.name} {whole[0].label}", whole[0].times))
        else:
            shown.append((child, child.name, 1))
    return shown


def short_label(indices: Sequence[int], prefix: str = "") -> str:
    """ "0–31 ×32", "every 5th from 3 ×8", "0–2, 4–7, … 39 ×32"; a single block is just its name."""
    if len(indices) == 1:
        return f"{prefix}{indices[0]}"
    parts = ranges(indices)
    if len(parts) == 1 and parts[0][2] > 1:
        text = f"every {_ordinal(parts[0][2])} from {prefix}{indices[0]}"
    elif len(parts) > _RANGES_SHOWN:
        text = prefix + ", ".join([*map(_range, parts[:2]), f"… {_range(parts[-1])}"])
    else:
        text = prefix + ", ".join(map(_range, parts))
    return f"{text} ×{len(indices)}"


def precise_label(indices: Sequence[int], prefix: str = "") -> str:
    """Every index: "0–31", "3, 8, 13", "0–2, 4–7, 9"."""
    runs = ranges(indices)
    if len(runs) == 1 and runs[0][2] > 1:
        return prefix + ", ".join(map(str, indices))
    return prefix + ", ".join(map(_range, runs))


def can_slice(path: str) -> bool:
    """Whether a slice after this path would be read as one: not for a component's name, a pattern, or brackets in a name."""
    return bool(path) and path not in COMPONENTS and not path.startswith("re:") and not set(path) & set("[]")


def _fold(holder: Node, entries: Iterable[tuple[int, str, int, Node]], count: int) -> Fold:
    placed = list(entries)
    positions = tuple(position for position, _, _, _ in placed)
    indices = tuple(number for _, _, number, _ in placed)
    members = tuple(node for _, _, _, node in placed)
    prefix = placed[0][1]
    targets = tuple(node.path for node in members)
    if len(members) > 1 and can_slice(holder.path):
        targets = (f"{holder.path}[{index_text(positions, count)}]",)
    ascending = sorted(indices)
    return Fold(
        holder.path,
        members,
        positions,
        indices,
        short_label(ascending, prefix),
        precise_label(ascending, prefix),
        targets,
    )


def _numbered(holder: Node) -> list[tuple[int, str, int, Node]]:
    """(position among module children, prefix, number, node) of the children that are counted through."""
    # Outside a ModuleDict "layer_norm1" and "layer_norm2" are two things with a number in the name, not a list.
    prefixed = holder.class_name == "ModuleDict"
    found: list[tuple[int, str, int, Node]] = []
    for position, child in enumerate(blocks_of(holder)):
        name = child.path[len(holder.path) + 1 :] if holder.path else child.path
        match = _NUMBERED.fullmatch(name)
        if match is not None and (prefixed or not match["prefix"]):
            found.append((position, match["prefix"], int(match["number"]), child))
    return found


def _range(part: tuple[int, int, int]) -> str:
    first, stop, _ = part
    return f"{first}–{stop - 1}" if stop - first > 1 else str(first)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
