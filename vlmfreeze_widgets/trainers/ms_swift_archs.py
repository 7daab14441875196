"""ms-swift's table of architectures: which prefixes it calls language model, aligner and vision tower. What it does with them is
in ``ms_swift``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ..core.errors import TrainerRefuses
from ..core.tree.tree import ModuleTree
from .name_matching import parameter_names, starts_with_any
from .tables import load_table


@dataclass(frozen=True)
class Arch:
    """A row of its table: prefixes of the parts of an architecture."""

    language_model: tuple[str, ...]
    aligner: tuple[str, ...]
    vision_tower: tuple[str, ...]
    generator: tuple[str, ...]

    @property
    def is_text(self) -> bool:
        """Whether ms-swift takes the model for one without pictures, to which no switch of a part applies."""
        return not self.language_model


TAKEN_FOR_TEXT = frozenset({"chameleon", "evolla", "mistral4", "pi0", "t5gemma2", "udop"})
"""Model types without a row whose configs have none of the sub-configs by which ms-swift tells that a model reads pictures."""
ALIASES = ("language_model", "vision_tower", "multi_modal_projector", "visual", "vision_model")
"""Children of ``model`` that its loader gives the whole model as attributes too, as transformers 4 had them."""


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
    known = _archs().get(tree.root.class_name, ())
    if len(known) == 1 and any(starts_with_any(name, known[0].language_model) for name in names):
        return known[0]
    if not known and tree.model_type in TAKEN_FOR_TEXT:
        return Arch((), (), (), ())
    for arch in known:
        parts = (part for part in (arch.language_model, arch.aligner, arch.vision_tower) if part)
        if all(any(starts_with_any(name, part) for name in names) for part in parts):
            return arch
    raise TrainerRefuses(
        f"ms-swift has no model type for a {tree.root.class_name}.",
        expected="an architecture of its table, such as LlavaForConditionalGeneration",
        found=tree.model_type or tree.root.class_name,
        remedy="Hand this model to another trainer, or register it with ms-swift.",
    )
