"""What modules are called in other releases of transformers: the renames between them as rules on classes, a tree as another
release would have it, and which releases a trainer takes. Which settings fit both names is decided in ``trainer``.

The renames were found by building tiny models of 88 families on meta under fifteen releases from 4.57.6 to 5.24.0 and comparing
the names of their parameters; beside these two only stacks of experts differ (GLM-4.5V until 5.0, Aria until 5.19).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from ..core.tree.components import is_below, owner_of
from ..core.tree.node import Node, Parameter
from ..core.tree.tree import ModuleTree

FLAT_TOWERS = frozenset(
    f"{family}VisionModel"
    for family in ("CLIP", "Siglip", "Siglip2", "MetaClip2", "AltCLIP", "ChineseCLIP", "CLIPSeg", "XCLIP", "MLCD")
)
"""Towers that until 5.5.4 kept all they have in a child ``vision_model``, and have it themselves since 5.6.0."""
THINKERS = frozenset({"Qwen2_5OmniThinkerForConditionalGeneration", "Qwen3OmniMoeThinkerForConditionalGeneration"})
"""Until 5.19.0 their parts lie beside each other; since 5.20 below one ``model``, as in the other families."""
_INNER = "vision_model"
_FLAT_SINCE, _NESTED_SINCE = (5, 6, 0), (5, 20, 0)

Release = tuple[int, ...]


@dataclass(frozen=True)
class Renaming:
    """A module whose parts had other names before a release.

    Attributes:
        since: The first release with the new names.
        pairs: (old path, new path) of each part that moved, with everything below it.
        container: Class of the module that holds these parts in one of both only.
        is_new: Whether the tree at hand has the new names.
    """

    since: Release
    pairs: tuple[tuple[str, str], ...]
    container: str
    is_new: bool


@dataclass(frozen=True)
class Names:
    """A tree under the other names, and the way from this tree's names to those.

    Attributes:
        tree: The same model as other releases have it.
        moves: (path here, path there), with everything below.
        releases: Which releases those are, in words.
        here: Which releases have this tree's names, in words.
    """

    tree: ModuleTree
    moves: tuple[tuple[str, str], ...]
    releases: str
    here: str = ""

    def there(self, path: str) -> str:
        """What a path or parameter of this tree is called there."""
        return _moved(path, self.moves)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def renamings(tree: ModuleTree) -> tuple[Renaming, ...]:
    """What of a model has another name in another release of transformers."""
    found = []
    for node in tree.nodes:
        if node.kind != "module" or node.same_as:
            continue
        children = {child.name: child for child in node.children}
        if node.class_name in FLAT_TOWERS:
            inner = children.get(_INNER)
            held = inner.children if inner else node.children
            inside = _below(node.path, _INNER)
            pairs = tuple((_below(inside, c.name), _below(node.path, c.name)) for c in held)
            container = inner.class_name if inner else node.class_name.replace("Model", "Transformer")
            found.append(Renaming(_FLAT_SINCE, pairs, container, inner is None))
        elif node.class_name in THINKERS:
            is_new = "language_model" in {c.name for c in children["model"].children} if "model" in children else True
            model = _below(node.path, "model")
            parts = [c.name for c in (children["model"].children if is_new else node.children)]
            towers = [name for name in parts if name not in ("language_model", "model", "lm_head")]
            pairs = tuple((_below(node.path, name), _below(model, name)) for name in towers)
            pairs += ((model, _below(model, "language_model")),)
            container = node.class_name.replace("ForConditionalGeneration", "Model")
            found.append(Renaming(_NESTED_SINCE, pairs, container, is_new))
    return tuple(found)


@dataclass(frozen=True)
class Takes:
    """The releases of transformers with which a trainer works.

    Attributes:
        oldest: The first, inclusive.
        newest: The last, inclusive; None for no end.
    """

    oldest: Release = (5, 0, 0)
    newest: Release | None = None

    def has_old(self, renaming: Renaming) -> bool:
        """Whether some of them have the names from before."""
        return self.oldest < renaming.since

    def has_new(self, renaming: Renaming) -> bool:
        """Whether some of them have the names from after."""
        return self.newest is None or self.newest >= renaming.since


ANY = Takes()
"""From transformers 5 on."""


def other_names(tree: ModuleTree, takes: Takes = ANY) -> tuple[tuple[Names, ...], bool]:
    """The model as a trainer may meet it under other releases than the one that made the tree.

    Args:
        tree: Its names are those of one release.
        takes: The trainer's releases.

    Returns:
        Each other form, and whether the tree's own is one that the trainer can meet.
    """
    found = renamings(tree)
    others, own = [], True
    for since in sorted({r.since for r in found}):
        group = [r for r in found if r.since == since]
        is_new = group[0].is_new
        own = own and (takes.has_new(group[0]) if is_new else takes.has_old(group[0]))
        if takes.has_old(group[0]) if is_new else takes.has_new(group[0]):
            moves = tuple((new, old) if is_new else (old, new) for r in group for old, new in r.pairs)
            number = ".".join(map(str, since))
            words = (f"before {number}", f"from {number} on")
            here, there = words[is_new], words[not is_new]
            others.append(Names(_rearranged(tree, moves, group[0].container), moves, there, here))
    return tuple(others), own


def _moved(name: str, moves: Iterable[tuple[str, str]]) -> str:
    for here, there in moves:
        if is_below(name, here):
            return there + name[len(here) :]
    return name


def _rearranged(tree: ModuleTree, moves: tuple[tuple[str, str], ...], container: str) -> ModuleTree:
    """The tree with subtrees moved to other paths; modules left empty go, modules that are missing above come."""

    def there(name: str) -> str:
        return _moved(name, moves)

    def parameter(p: Parameter) -> Parameter:
        return replace(p, name=there(p.name), owner=there(p.owner))

    def renamed(node: Node) -> Node:
        return replace(
            node,
            path=there(node.path),
            same_as=there(node.same_as) if node.same_as else "",
            parameters=tuple(parameter(p) for p in node.parameters),
            children=tuple(renamed(child) for child in node.children),
        )

    build = _Building(moves, container, {name: tuple(map(there, paths)) for name, paths in tree.components.items()})
    root = build.without(tree.root)
    root = _plain(root, there)
    for here, _ in moves:
        root = build.placed(root, renamed(tree.by_path[here]))
    return replace(
        tree,
        root=root,
        components=build.components,
        parameters=tuple(parameter(p) for p in tree.parameters),
        dead_ends=frozenset(map(there, tree.dead_ends)),
        head_paths=tuple(map(there, tree.head_paths)),
        born_frozen=frozenset(map(there, tree.born_frozen)),
    )


def _plain(node: Node, there: object) -> Node:
    """What stays where it is: shared tensors in it may have an owner that moved."""
    assert callable(there)
    parameters = tuple(replace(p, owner=there(p.owner)) for p in node.parameters)
    same = there(node.same_as) if node.same_as else ""
    return replace(node, parameters=parameters, same_as=same, children=tuple(_plain(c, there) for c in node.children))


@dataclass(frozen=True)
class _Building:
    moves: tuple[tuple[str, str], ...]
    container: str
    components: Mapping[str, tuple[str, ...]]

    @cached_property
    def _sources(self) -> frozenset[str]:
        return frozenset(here for here, _ in self.moves)

    def without(self, node: Node) -> Node:
        """A node without the subtrees that move, and without modules that held nothing else."""
        kept = []
        for child in node.children:
            if child.path in self._sources:
                continue
            left = self.without(child)
            refilled = any(is_below(there, child.path) and there != child.path for _, there in self.moves)
            if left.children or left.parameters or not child.children or refilled:
                kept.append(left)
        return _summed(node, tuple(kept))

    def placed(self, node: Node, moved: Node) -> Node:
        """A node with a subtree below it at the subtree's own path."""
        above = moved.path.rpartition(".")[0]
        if node.path == above:
            return _summed(node, (*node.children, moved))
        for i, child in enumerate(node.children):
            if is_below(moved.path, child.path):
                children = (*node.children[:i], self.placed(child, moved), *node.children[i + 1 :])
                return _summed(node, children)
        path = _below(node.path, moved.path.removeprefix(f"{node.path}." if node.path else "").partition(".")[0])
        owned = {p: name for name, paths in self.components.items() for p in paths}
        made = Node(path, self.container, "module", owner_of(path, owned), (), 0, 0, 0, 0, ())
        return _summed(node, (*node.children, self.placed(made, moved)))


def _summed(node: Node, children: tuple[Node, ...]) -> Node:
    """A node with other children, and its totals with them."""
    before = node.children

    def total(name: str) -> int:
        own = getattr(node, name) - sum(getattr(c, name) for c in before)
        return int(own + sum(getattr(c, name) for c in children))

    return replace(
        node,
        children=children,
        total_params=total("total_params"),
        total_bytes=total("total_bytes"),
        active_params=total("active_params"),
    )
