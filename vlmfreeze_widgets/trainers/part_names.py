"""Which part of a model a name lies in, by the words that the trainers' own code looks for in names: ``visual``, ``merger``,
``mm_projector``, ``vision_tower``. Components, which are found by structure, are in ``core``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ..core.errors import TrainerRefuses
from ..core.tree.tree import ModuleTree
from .selection import Selection

_SIDES = (".lora_A", ".lora_B")


def has_segment(name: str, words: Iterable[str]) -> bool:
    """Whether one of the words is a whole segment of a dotted name."""
    return not set(name.split(".")).isdisjoint(words)


def with_rates(found: Selection, usual: float, own: Callable[[str], float | None]) -> Selection:
    """A selection in which names of some parts have a rate of their own.

    Args:
        found: What trains.
        usual: The rate of all else.
        own: A parameter's name, or the path of an adapted module -> its rate, or None for the usual one.
    """
    lr: dict[str, float] = {}
    for name in found.names:
        path = name.rpartition(".")[0] if name.endswith(_SIDES) else name
        rate = own(path)
        lr[name] = usual if rate is None else rate
    return replace(found, lr=lr)


def check_model_type(tree: ModuleTree, types: Iterable[str], trainer: str, what: str) -> None:
    """Refuses a model that a trainer's script does not load; a tree of unknown type passes.

    Raises:
        TrainerRefuses: The same.
    """
    types = tuple(types)
    if tree.model_type and tree.model_type not in types:
        raise TrainerRefuses(
            f"{trainer} does not load a model of type {tree.model_type!r}.",
            expected=f"{what}: {', '.join(types)}",
            found=tree.root.class_name,
            remedy="Hand this model to another trainer.",
        )


def owners(tree: ModuleTree) -> Mapping[str, str]:
    """Every parameter's name -> the first name of its tensor."""
    return {p.name: p.owner for p in tree.parameters}
