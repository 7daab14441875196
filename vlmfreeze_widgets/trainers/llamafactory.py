"""LLaMA-Factory (0.9.6): ``finetuning_type`` full, freeze or lora, and the three freeze switches, which match names by substring.

Its table of composite models is ``llamafactory_models.json``. How a plan is written as its YAML, and what of it surprises
people, is in ``llamafactory_export``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import loraplus, peft_rule
from .decay_rule import by_classes, with_decay
from .flags import Flag, read_flags
from .name_matching import chosen, contains_any, is_linear_by_class, modules, parameter_names
from .releases import Takes
from .selection import Selection
from .tables import load_table

NAME = "LLaMA-Factory"
TAKES = Takes((4, 55, 0), (5, 6, 0))
"""What 0.9.5 asks for of transformers: ``!=4.52.0,!=4.57.0,<=5.6.0,>=4.55.0``."""
FLAGS: Mapping[str, Flag] = {
    "finetuning_type": Flag("text", "lora"),
    "freeze_vision_tower": Flag("bool", True),
    "freeze_multi_modal_projector": Flag("bool", True),
    "freeze_language_model": Flag("bool", False),
    "freeze_trainable_layers": Flag("int", 2),
    "freeze_trainable_modules": Flag("names", ["all"]),
    "freeze_extra_modules": Flag("names", []),
    "use_llama_pro": Flag("bool", False),
    "lora_rank": Flag("int", 8),
    "lora_alpha": Flag("int", None),
    "lora_dropout": Flag("float", 0.0),
    "lora_target": Flag("names", ["all"]),
    "additional_target": Flag("names", []),
    "use_dora": Flag("bool", False),
    "use_rslora": Flag("bool", False),
    "pissa_init": Flag("bool", False),
    "loraplus_lr_ratio": Flag("float", None),
    "loraplus_lr_embedding": Flag("float", 1e-6),
    "resize_vocab": Flag("bool", False),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
}


@dataclass(frozen=True)
class Keys:
    """A row of its table: substrings that tell the parts of a composite model apart."""

    vision_model_keys: tuple[str, ...]
    projector_keys: tuple[str, ...]
    language_model_keys: tuple[str, ...]
    lora_conflict_keys: tuple[str, ...]

    def forbidden(self, flags: Mapping[str, Any]) -> tuple[str, ...]:
        """The substrings whose parameters the three switches freeze."""
        return (
            *(self.vision_model_keys if flags["freeze_vision_tower"] else ()),
            *(self.projector_keys if flags["freeze_multi_modal_projector"] else ()),
            *(self.language_model_keys if flags["freeze_language_model"] else ()),
        )


@cache
def _rows() -> Mapping[str, Keys]:
    rows = load_table("llamafactory_models.json")["models"]
    return {name: Keys(**{key: tuple(values) for key, values in row.items()}) for name, row in rows.items()}


def keys_of(tree: ModuleTree) -> Keys | None:
    """The row for a model; None where the table has none, and then the three switches do nothing."""
    return _rows().get(tree.model_type)


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What LLaMA-Factory trains with these flags, by its own order of decisions.

    Args:
        given: Flags as its users write them; the defaults of the rest apply.
        tree: The model.

    Raises:
        TrainerRefuses: LLaMA-Factory itself stops, and why.
        BadConfig: A flag or value that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    kind = flags["finetuning_type"]
    if kind not in ("full", "freeze", "lora"):
        raise TrainerRefuses(
            f"finetuning_type {kind!r} is not one that can be followed here.",
            expected="full, freeze or lora",
            found=str(kind),
            remedy="Choose one of the three.",
        )
    if kind != "lora":
        for name in ("use_dora", "use_rslora", "pissa_init", "loraplus_lr_ratio"):
            if flags[name]:
                raise TrainerRefuses(
                    f"LLaMA-Factory stops: {name} is only valid for LoRA training.",
                    expected="finetuning_type lora",
                    found=str(kind),
                    remedy=f"Remove {name}, or set finetuning_type to lora.",
                )
    keys = keys_of(tree)
    if kind == "full":
        found = _full(flags, tree, keys)
    elif kind == "freeze":
        found = _freeze(flags, tree, keys)
    else:
        found = _lora(flags, tree, keys)
    found = _with_rates(found, flags, tree)
    if flags["loraplus_lr_ratio"] is None:
        return with_decay(found, tree, flags["weight_decay"])
    return with_decay(found, tree, flags["weight_decay"], loraplus.spares_among_sped_up(by_classes))


def _full(flags: Mapping[str, Any], tree: ModuleTree, keys: Keys | None) -> Selection:
    forbidden = keys.forbidden(flags) if keys else ()
    return Selection(chosen(_awake(tree), lambda name: not contains_any(name, forbidden)))


def _freeze(flags: Mapping[str, Any], tree: ModuleTree, keys: Keys | None) -> Selection:
    names = parameter_names(tree)
    hidden: set[str] = set()
    outside: set[str] = set()
    for name in names:
        for mark in (".0.", ".1."):
            if mark in name:
                hidden.add(name.rsplit(mark, 1)[1].split(".", 1)[0])
                break
        if not re.search(r"\.\d+\.", name):
            if "." not in name:
                raise TrainerRefuses(
                    "LLaMA-Factory stops (IndexError): freeze-tuning cannot read a parameter without a dot in its name.",
                    expected="parameters inside modules",
                    found=name,
                    remedy="Use finetuning_type full or lora for this model.",
                )
            outside.add(name.split(".")[-2])
    wanted: list[str] = []
    for module in flags["freeze_trainable_modules"]:
        if module != "all" and module not in hidden:
            raise _no_such_module(module, hidden)
        wanted += [f".{index}.{'' if module == 'all' else module}" for index in _layers(flags, tree)]
    for module in flags["freeze_extra_modules"]:
        if module not in outside:
            raise _no_such_module(module, outside)
        wanted.append(module)
    if keys and not flags["freeze_multi_modal_projector"]:
        wanted += keys.projector_keys
    forbidden = keys.forbidden(flags) if keys else ()
    return Selection(
        chosen(_awake(tree), lambda name: contains_any(name, wanted) and not contains_any(name, forbidden))
    )


def _awake(tree: ModuleTree) -> list[str]:
    """The parameters that its loader finds switched on; neither mode ever switches one on that is off."""
    return [name for name in parameter_names(tree) if name not in tree.born_frozen]


def _layers(flags: Mapping[str, Any], tree: ModuleTree) -> range:
    blocks = tree.blocks("language_model")
    count = len(blocks.children) if blocks else 0
    number = flags["freeze_trainable_layers"]
    if flags["use_llama_pro"]:
        if not number or count % number:
            raise TrainerRefuses(
                "LLaMA-Factory stops: LLaMA Pro needs as many layers as the chosen ones go into.",
                expected=f"a divisor of {count}",
                found=str(number),
                remedy="Choose another freeze_trainable_layers.",
            )
        stride = count // number
        return range(stride - 1, count + stride - 1, stride)
    return range(max(0, count - number), count) if number > 0 else range(min(-number, count))


def _no_such_module(module: str, known: set[str]) -> TrainerRefuses:
    return TrainerRefuses(
        f"LLaMA-Factory stops: module {module} is not found.",
        expected=", ".join(sorted(known)),
        found=module,
        remedy="Choose from these.",
    )


def _lora(flags: Mapping[str, Any], tree: ModuleTree, keys: Keys | None) -> Selection:
    targets = flags["lora_target"]
    if targets == ["all"]:
        avoided = {"lm_head"}
        if keys:
            avoided |= {*keys.projector_keys, *(keys.vision_model_keys if flags["freeze_vision_tower"] else ())}
        found = (n for n in modules(tree) if is_linear_by_class(n) and not contains_any(n.path, avoided))
        targets = sorted({node.name for node in found})
    if keys:
        avoided = {*keys.forbidden(flags), *keys.lora_conflict_keys}
        targets = [n.path for n in modules(tree) if contains_any(n.path, targets) and not contains_any(n.path, avoided)]
    saved = list(flags["additional_target"])
    if flags["resize_vocab"] and not saved:
        saved = _vocabulary(tree)
    lora = Lora(
        flags["lora_rank"],
        2 * flags["lora_rank"] if flags["lora_alpha"] is None else flags["lora_alpha"],
        flags["lora_dropout"],
        use_dora=flags["use_dora"],
        use_rslora=flags["use_rslora"],
    )
    return peft_rule.select(tree, targets, lora, modules_to_save=saved)


def _vocabulary(tree: ModuleTree) -> list[str]:
    """Last names of the input embeddings and the head, which a changed vocabulary makes trainable."""
    paths = (*tree.components.get("embeddings", ()), *tree.components.get("head", ()))
    # Gemma's embeddings of every layer are not what get_input_embeddings gives.
    names = {path.rpartition(".")[2] for path in paths if path in tree.by_path}
    return sorted(name for name in names if not name.endswith("_per_layer"))


def _with_rates(found: Selection, flags: Mapping[str, Any], tree: ModuleTree) -> Selection:
    usual, ratio = flags["learning_rate"], flags["loraplus_lr_ratio"]
    if ratio is None:
        return found.at_rate(usual)
    # Of an embedding's adapter it slows down lora_B alone.
    return loraplus.with_rates(found, tree, usual, ratio, {"lora_B": flags["loraplus_lr_embedding"]})
