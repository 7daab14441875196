"""ms-swift's table of architectures: which prefixes it calls language model, aligner and vision tower. What it does with them is
in ``ms_swift``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ..core.errors import TrainerRefuses
from ..core.tree import ModuleTree
from .names import parameter_names, starts_with_any
from .tables import load_table


@dataclass(frozen=True)
class Arch:
    """A row of its table: prefixes of the parts of an architecture."""

    language_model: tuple[str, ...]
    aligner: tuple[str, ...]
    vision_tower: tuple[str, ...]
    generator: tuple[str, ...]


@cache
def _archs() -> Mapping[str, tuple[Arch, ...]]:
    found: dict[str, tuple[Arch, ...]] = {}
    for row in load_table("ms_swift_archs.json")["models"].values():
        parts = ("language_model", "aligner", "vision_tower", "generator")
        arch = Arch(**{part: tuple(row[part]) for part in parts})
        for architecture in row["hf_architectures"]:
            found[architecture] = (*found.get(architecture, ()), arch)
    return found


def arch_of(tree: ModuleTree) -> Arch:
    """The row for a model; of several rows for one class the one whose prefixes the model's names have.

    Raises:
        TrainerRefuses: ms-swift does not know the architecture, or knows it under other names than this model has.
    """
    names = parameter_names(tree)
    for arch in _archs().get(tree.root.class_name, ()):
        parts = (part for part in (arch.language_model, arch.aligner, arch.vision_tower) if part)
        if all(any(starts_with_any(name, part) for name in names) for part in parts):
            return arch
    raise TrainerRefuses(
        f"ms-swift has no model type for a {tree.root.class_name}.",
        expected="an architecture of its table, such as LlavaForConditionalGeneration",
        found=tree.model_type or tree.root.class_name,
        remedy="Hand this model to another trainer, or register it with ms-swift.",
    )
