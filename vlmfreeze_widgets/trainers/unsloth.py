"""Unsloth (2026.10.9), its vision path: the arguments of ``get_peft_model``, and the two rates of ``UnslothTrainingArguments``.

Which layers its words reach is in ``unsloth_layers``; how a plan is written as its call is in ``unsloth_export``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import peft_rule
from .decay_rule import with_decay
from .flags import Flag, read_flags
from .name_matching import adapted_kind, has_suffix, modules, parameter_names
from .selection import Selection
from .unsloth_layers import CLIPPABLE, SWITCHES, chosen_layers, expert_stacks

NAME = "Unsloth"
FLAGS: Mapping[str, Flag] = {
    "r": Flag("int", 16),
    "lora_alpha": Flag("float", 16),
    "lora_dropout": Flag("float", 0.0),
    "bias": Flag("text", "none"),
    "finetune_vision_layers": Flag("bool", True),
    "finetune_language_layers": Flag("bool", True),
    "finetune_attention_modules": Flag("bool", True),
    "finetune_mlp_modules": Flag("bool", True),
    "finetune_audio_layers": Flag("bool", False),
    "finetune_last_n_layers": Flag("int", None),
    "layers_to_transform": Flag("numbers", None),
    "layers_pattern": Flag("names or text", None),
    "target_modules": Flag("names or text", None),
    "target_parameters": Flag("names", []),
    "modules_to_save": Flag("names", []),
    "ensure_weight_tying": Flag("bool", None),
    "use_rslora": Flag("bool", False),
    "use_dora": Flag("bool", False),
    "learning_rate": Flag("float", 2e-4),
    "embedding_learning_rate": Flag("float", None),
    "loraplus_lr_ratio": Flag("float", None),
    "weight_decay": Flag("float", 0.0),
}
_TRAINED_WHOLE = ("embed_tokens", "lm_head")
_SCOPES = SWITCHES[:4]  # the four that are on by default; one that is off filters an explicit list of targets too


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What ``FastVisionModel.get_peft_model`` adapts with these arguments, at the rates of ``UnslothTrainer``.

    Args:
        given: Arguments as in its notebooks; beside them ``learning_rate``, ``embedding_learning_rate`` and
            ``loraplus_lr_ratio`` of the training arguments, since the call has no rates.
        tree: The model.

    Raises:
        TrainerRefuses: Unsloth itself stops, and why.
        BadConfig: An argument that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    saved = list(flags["modules_to_save"])
    named = flags["target_modules"] or None
    if isinstance(named, list) and flags["finetune_language_layers"]:
        # Embeddings and head are trained as a whole instead of getting adapters.
        moved = [name for name in named if _last(name) in _TRAINED_WHOLE]
        named = [name for name in named if name not in moved]
        saved += [name for name in moved if name not in saved]
        if not named and not flags["target_parameters"]:
            raise _stops("target_modules is empty once embeddings and head are trained whole", ", ".join(moved))
    saved, tied = _tied(saved, flags["ensure_weight_tying"], tree)
    targets = _targets(flags, named, tree)
    stacks = flags["target_parameters"] or expert_stacks(flags, named, tree)
    layers, pattern = _layers(flags, tree), flags["layers_pattern"]
    if layers is not None and isinstance(targets, str):
        inside = [n.path for n in modules(tree) if re.fullmatch(targets, n.path) and _lies_in(n.path, layers, pattern)]
        if not inside:
            raise _stops("no layers to finetune among those that are chosen by number", str(sorted(layers)))
        targets, layers = _one_of(inside), None
    if stacks and (chosen := _layers(flags, tree)) is not None:
        stacks = [name for name in parameter_names(tree) if has_suffix(name, stacks)]
        stacks = [path for path in stacks if _lies_in(path, chosen, pattern)]
    lora = Lora(
        flags["r"],
        flags["lora_alpha"],
        flags["lora_dropout"],
        use_dora=flags["use_dora"],
        use_rslora=flags["use_rslora"],
    )
    found = peft_rule.select(
        tree,
        targets,
        lora,
        modules_to_save=[name for name in saved if any(node.path.endswith(name) for node in modules(tree))],
        layers=layers,
        layers_pattern=pattern,
        target_parameters=stacks,
        bias=flags["bias"] or "none",
        adapted_inside=CLIPPABLE,
    )
    return with_decay(_with_rates(replace(found, tied_copies=tied), flags, tree), tree, flags["weight_decay"])


def _targets(flags: Mapping[str, Any], named: Any, tree: ModuleTree) -> Any:
    """A pattern of whole paths, or the user's own list or pattern where no switch filters it."""
    if named is None or named == peft_rule.ALL_LINEAR:
        if named is not None:
            flags = {**flags, **dict.fromkeys(SWITCHES, True)}
        return _one_of(chosen_layers(flags, None, tree))
    if isinstance(named, list) and (flags["finetune_audio_layers"] or not all(flags[name] for name in _SCOPES)):
        return _one_of(chosen_layers(flags, named, tree))
    return named


def _one_of(paths: Iterable[str]) -> str:
    return "|".join(re.escape(path) for path in paths)


def _layers(flags: Mapping[str, Any], tree: ModuleTree) -> set[int] | None:
    """Indices of the chosen blocks, in whatever part of the model they lie."""
    if flags["layers_to_transform"]:
        return set(flags["layers_to_transform"])
    blocks = tree.blocks("language_model")
    if flags["finetune_last_n_layers"] is None or not blocks:
        return None
    count = len(blocks.children)
    return set(range(count - max(1, min(flags["finetune_last_n_layers"], count)), count))


def _lies_in(path: str, layers: set[int], pattern: str | Iterable[str] | None) -> bool:
    return peft_rule.block_index(path, pattern) in layers


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _tied(saved: list[str], given: bool | None, tree: ModuleTree) -> tuple[list[str], bool]:
    """Where embeddings and head share a tensor, one copy of it is trained: the head is left to PEFT, which ties it again."""
    leaves = {_last(name) for name in saved}
    head = {path for path in tree.head_paths if any(p.owner != p.name for p in tree.below(path))}
    both = leaves.issuperset(_TRAINED_WHOLE)
    tied = bool(head) and "embed_tokens" in leaves and (both if given is None else given)
    if not tied or not both:
        return saved, tied
    return [_last(n) if _last(n) == "embed_tokens" else n for n in saved if _last(n) != "lm_head"], tied


def _with_rates(found: Selection, flags: Mapping[str, Any], tree: ModuleTree) -> Selection:
    usual, ratio, own = flags["learning_rate"], flags["loraplus_lr_ratio"], flags["embedding_learning_rate"]
    # The group of embeddings holds the weight of every copied module, whatever it is called.
    copies = {tree.by_name[n].owner for n in (f"{path}.weight" for path in found.copied) if n in tree.by_name}
    if ratio is not None:
        if not ratio > 0:
            raise _stops("loraplus_lr_ratio has to be above 0 (ValueError)", f"{ratio:g}")
        if not any(adapted_kind(tree, path) != "embedding" for path in found.lora):
            raise _stops("loraplus_lr_ratio is set and there is no lora_B to speed up (ValueError)", "no adapters")
    lr = {}
    for name in found.names:
        path, _, side = name.rpartition(".")
        lr[name] = usual
        if name in copies and own is not None:
            lr[name] = own
        elif ratio is not None and side == "lora_B" and adapted_kind(tree, path) != "embedding":
            lr[name] = usual * ratio
    return replace(found, lr=lr)


def _stops(why: str, found: str) -> TrainerRefuses:
    return TrainerRefuses(
        f"Unsloth stops: {why}.",
        expected="arguments under which its own code runs",
        found=found or "nothing",
        remedy="Choose other arguments, or another trainer.",
    )
