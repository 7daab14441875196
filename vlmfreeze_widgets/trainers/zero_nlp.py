"""zero_nlp's train_llava: one argument, ``train_type``, with three values. Everything else is fixed in its code.

Its users make stages by freezing parts by hand (zero_nlp#194) and write that as ``freeze_vision_model`` and
``freeze_language_model``; these are read here, and are not among the arguments of its own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import peft_rule
from .decay_rule import by_names_and_classes, by_older_classes, with_decay
from .flags import Flag, read_flags
from .name_matching import chosen, parameter_names
from .selection import Selection

NAME = "zero_nlp"
MODEL_TYPES = ("llava",)
FLAGS: Mapping[str, Flag] = {
    "train_type": Flag("text", "none"),
    "freeze_vision_model": Flag("bool", False),
    "freeze_language_model": Flag("bool", False),
    "transformers_version": Flag("text", "4"),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
}
FIXED_LORA = Lora(rank=32, alpha=8, dropout=0.05, targets=("q_proj", "k_proj", "v_proj", "o_proj"))
"""Its code sets r, dropout and targets, and leaves alpha to PEFT, whose default is 8."""
PROJECTOR = "multi_modal_projector"


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What train_llava trains with this ``train_type``; a word that it does not know trains everything, as "none" does.

    Args:
        given: Arguments as its run files write them.
        tree: A transformers LLaVA.

    Raises:
        TrainerRefuses: The model is no LLaVA.
        BadConfig: An argument that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    if tree.model_type not in ("llava", ""):
        raise TrainerRefuses(
            f"zero_nlp's train_llava does not load a model of type {tree.model_type!r}.",
            expected="llava",
            found=tree.root.class_name,
            remedy="Hand this model to another trainer.",
        )
    kind = flags["train_type"] or "none"
    older = (flags["transformers_version"] or "4").startswith("4")
    spares = by_older_classes if older else by_names_and_classes
    if kind == "use_lora":
        found = peft_rule.select(tree, FIXED_LORA.targets, _without_targets(FIXED_LORA), modules_to_save=[PROJECTOR])
        return with_decay(found.at_rate(flags["learning_rate"]), tree, flags["weight_decay"], spares)
    if kind == "freeze_vision" and not older:
        raise TrainerRefuses(
            "zero_nlp stops (AttributeError): its code asks the model for vision_tower, which transformers 5 no longer has there.",
            expected="transformers 4",
            found=f"transformers {flags['transformers_version']}",
            remedy="Run it with transformers 4, for which it was written.",
        )
    # What it calls the language model holds embeddings and head too.
    frozen = ["vision_tower"] if kind == "freeze_vision" or flags["freeze_vision_model"] else []
    frozen += ["language_model", "embeddings", "head"] if flags["freeze_language_model"] else []
    inside = tuple(f"{path}." for name in frozen for path in tree.components.get(name, ()))
    found = Selection(chosen(parameter_names(tree), lambda name: not name.startswith(inside)))
    return with_decay(found.at_rate(flags["learning_rate"]), tree, flags["weight_decay"], spares)


def _without_targets(lora: Lora) -> Lora:
    return Lora(lora.rank, lora.alpha, lora.dropout)
