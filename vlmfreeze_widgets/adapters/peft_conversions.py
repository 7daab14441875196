"""What the installed PEFT makes of target modules of older mixtures of experts: its own tables, as they are. The rule that follows
them is in ``trainers.peft_conversion``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

_LISTS_FROM, _TEXTS_FROM = (0, 19), (0, 20)


@dataclass(frozen=True)
class Conversion:
    """How targets of one model type are rewritten.

    Attributes:
        renamed: Last name of a target module -> the parameter that is adapted in its place.
        fused: Parameter -> the names that must all be targets, since it holds them all; its rank is multiplied by their number.
        texts: Whether a pattern and "all-linear" are rewritten too, to last names (from PEFT 0.20 on).
    """

    renamed: Mapping[str, str]
    fused: Mapping[str, tuple[str, ...]]
    texts: bool


def installed() -> str:
    """The version of PEFT here."""
    return version("peft")


def conversion_of(model_type: str, release: str = "") -> Conversion | None:
    """How PEFT rewrites targets of a model type; None where it takes them as they are.

    Args:
        model_type: Of the model.
        release: Of PEFT, by default the installed one; the tables themselves, alike from 0.19 to 0.21.2, are always those here.
    """
    if tuple(int(part) for part in installed().split(".")[:2]) < _LISTS_FROM:
        return None
    found = tuple(int(part) for part in (release or installed()).split(".")[:2])
    if found < _LISTS_FROM or not model_type:
        return None
    from peft.utils import transformers_weight_conversion

    tables: Any = transformers_weight_conversion  # its names are private

    family = tables._MODEL_TO_CONVERSION_PATTERN.get(model_type)
    renamed = tables._MOE_TARGET_MODULE_MAPPING.get(family or "")
    fused = tables._MOE_FUSED_TARGETS.get(family or "")
    if not renamed or not fused or tables.get_checkpoint_conversion_mapping(model_type) is None:
        return None
    return Conversion(dict(renamed), {name: tuple(parts) for name, parts in fused.items()}, found >= _TEXTS_FROM)
