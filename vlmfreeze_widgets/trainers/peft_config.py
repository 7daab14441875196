"""PEFT's LoraConfig as settings (``adapter_config.json``): what it selects. A config knows no learning rates; beside it stand those
of an optimizer, and the arguments of PEFT's ``create_loraplus_optimizer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..adapters import peft_conversions, peft_lora
from ..core.errors import NotExpressible
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import loraplus, peft_rule
from .decay_rule import by_classes, with_decay
from .flags import Flag, read_flags
from .name_matching import pattern_of
from .selection import Selection

NAME = "PEFT"
_EMBEDDINGS = ("embed_tokens", "lm_head")
_BEFORE_0_21 = tuple(f"0.{minor}." for minor in range(21))
FLAGS: Mapping[str, Flag] = {
    "r": Flag("int", 8),
    "lora_alpha": Flag("float", 8),
    "lora_dropout": Flag("float", 0.0),
    "target_modules": Flag("names or text", None),
    "exclude_modules": Flag("names or text", None),
    "modules_to_save": Flag("names", []),
    "layers_to_transform": Flag("numbers", None),
    "layers_pattern": Flag("names or text", None),
    "rank_pattern": Flag("factors", {}),
    "alpha_pattern": Flag("factors", {}),
    "target_parameters": Flag("names", []),
    "use_dora": Flag("bool", False),
    "use_rslora": Flag("bool", False),
    "bias": Flag("text", "none"),
    "ensure_weight_tying": Flag("bool", False),
    "peft_version": Flag("text", "0.21.2"),
    "learning_rate": Flag("float", 2e-4),
    "weight_decay": Flag("float", 0.0),
    "loraplus_lr_ratio": Flag("float", None),
    "loraplus_lr_embedding": Flag("float", loraplus.EMBEDDING_LR),
    "loraplus_weight_decay": Flag("float", 0.0),
}


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What ``get_peft_model`` adapts and trains with this config.

    Args:
        given: Fields of ``LoraConfig``, as in ``adapter_config.json``; beside them ``learning_rate``, since PEFT has none, and the
            arguments of ``create_loraplus_optimizer`` (``loraplus_lr_ratio``, ``loraplus_lr_embedding``,
            ``loraplus_weight_decay``), whose ``lr`` is the learning rate.
        tree: The model.

    Raises:
        NotExpressible: An adapter of another kind than LoRA.
        TrainerRefuses: PEFT itself stops, and why.
        BadConfig: A field or value that it does not have.
    """
    kind = str(given.get("peft_type") or "LORA").upper().rpartition(".")[2]
    if kind != "LORA":
        raise NotExpressible(
            "This adapter is not LoRA.",
            expected="peft_type LORA",
            found=kind,
            remedy="A strategy knows frozen, full and LoRA; train the adapter with PEFT itself.",
        )
    flags = read_flags(given, FLAGS, NAME)
    targets = flags["target_modules"] or None
    if targets is None and not flags["target_parameters"]:
        targets = peft_lora.default_targets(tree.model_type)
    found = peft_rule.select(
        tree,
        targets,
        Lora(
            flags["r"],
            flags["lora_alpha"],
            flags["lora_dropout"],
            use_dora=flags["use_dora"],
            use_rslora=flags["use_rslora"],
        ),
        modules_to_save=flags["modules_to_save"],
        exclude=flags["exclude_modules"],
        layers=flags["layers_to_transform"],
        layers_pattern=flags["layers_pattern"],
        rank_pattern=flags["rank_pattern"],
        alpha_pattern=flags["alpha_pattern"],
        target_parameters=flags["target_parameters"],
        bias=flags["bias"] or "none",
        conversion=peft_conversions.conversion_of(tree.model_type),
        bias_by_suffix=not str(flags["peft_version"]).startswith(_BEFORE_0_21),
    )
    if flags["ensure_weight_tying"] and not flags["modules_to_save"] and _names_embeddings(targets):
        found = _adapted_at_every_use(found, tree)
    return replace(_with_rates(found, flags, tree), tied_copies=bool(flags["ensure_weight_tying"]))


def _with_rates(found: Selection, flags: Mapping[str, Any], tree: ModuleTree) -> Selection:
    usual, ratio = flags["learning_rate"], flags["loraplus_lr_ratio"]
    if ratio is None:
        return found.at_rate(usual)
    loraplus.check_ratio(ratio, NAME)
    own = dict.fromkeys(("lora_A", "lora_B"), flags["loraplus_lr_embedding"])
    # Before 0.21 it looks at the parameter itself where it means the layer, and finds no embedding.
    older = str(flags["peft_version"]).startswith(_BEFORE_0_21)
    rated = loraplus.with_rates(found, tree, usual, ratio, None if older else own)
    return with_decay(rated, tree, flags["loraplus_weight_decay"], loraplus.spares_among_sped_up(by_classes))


def _names_embeddings(targets: Any) -> bool:  # as LoraConfig takes them
    """Whether PEFT takes the targets to mean tied embeddings: it asks for these two last names alone."""
    if isinstance(targets, str):
        return any(pattern_of(targets, NAME).fullmatch(name) for name in _EMBEDDINGS)
    return any(str(target).rpartition(".")[2] in _EMBEDDINGS for target in targets or ())


def _adapted_at_every_use(found: Selection, tree: ModuleTree) -> Selection:
    """With ``ensure_weight_tying`` one adapter lies on every use of the embeddings' tensor (from PEFT 0.19 on)."""
    shared: dict[str, Lora] = {}
    notes = []
    for names in tree.aliases.values():
        uses = [
            path for name in names if (path := name.removesuffix(".weight")) != name and tree.by_path[path].adaptable
        ]
        if any(path.rpartition(".")[2] in _EMBEDDINGS for path in uses) and (
            held := [p for p in uses if p in found.lora]
        ):
            shared |= dict.fromkeys(uses, found.lora[held[0]])
            notes.append(
                f"ensure_weight_tying: one adapter serves {' and '.join(uses)}, which are tied. A burst refuses LoRA "
                "on tied weights: train them in full there."
            )
    return replace(found, lora={**found.lora, **shared}).noting(*notes)
