"""2U1's Qwen-VL-Series-Finetune: ``freeze_vision_tower``, ``freeze_llm``, ``freeze_merger``, ``unfreeze_topk_llm``,
``unfreeze_topk_vision``, ``vision_lr``, ``merger_lr``, and LoRA by ``lora_enable``, ``vision_lora``, ``lora_namespan_exclude``,
``num_lora_modules``.

Source: ``src/train/train_sft.py``, ``src/params.py`` and ``src/trainer/sft_trainer.py`` of 2U1/Qwen-VL-Series-Finetune at 93fef862,
which asks for transformers 4.57; its own functions were run on tiny models (``tests/trainers/published/2u1.jsonl.gz``). How a plan
is written as its arguments is in ``qwen_series_export``.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from ..core.errors import BadConfig, TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import peft_rule
from .decay_rule import by_classes, with_decay
from .flags import Flag, read_flags
from .name_matching import chosen, contains_any, modules, parameter_names
from .part_names import check_model_type, with_rates
from .selection import Selection

NAME = "Qwen-VL-Series-Finetune"
MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
FLAGS: Mapping[str, Flag] = {
    "freeze_vision_tower": Flag("bool", False),
    "freeze_llm": Flag("bool", False),
    "freeze_merger": Flag("bool", False),
    "unfreeze_topk_llm": Flag("int", 0),
    "unfreeze_topk_vision": Flag("int", 0),
    "lora_enable": Flag("bool", False),
    "vision_lora": Flag("bool", False),
    "lora_namespan_exclude": Flag("text", None),
    "num_lora_modules": Flag("int", -1),
    "lora_rank": Flag("int", 64),
    "lora_alpha": Flag("int", 16),
    "lora_dropout": Flag("float", 0.05),
    "lora_bias": Flag("text", "none"),
    "use_dora": Flag("bool", False),
    "vision_lr": Flag("float", None),
    "merger_lr": Flag("float", None),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
}
_VISUAL, _MERGER = "visual", "merger"


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What train_sft.py trains with these arguments.

    Args:
        given: Arguments as its scripts write them.
        tree: A Qwen2-VL, Qwen2.5-VL or Qwen3-VL without experts.

    Raises:
        TrainerRefuses: The model is not of that make, or the script stops at these arguments.
        BadConfig: An argument that it does not have, or a list of excluded names that cannot be read.
    """
    flags = read_flags({name: _as_text(name, value) for name, value in given.items()}, FLAGS, NAME)
    check_model_type(tree, MODEL_TYPES, NAME, "a Qwen-VL")
    _check(flags)
    found = _with_lora(flags, tree) if flags["lora_enable"] else Selection(_full(flags, tree))
    found = with_rates(found, flags["learning_rate"], lambda name: _rate(name, flags))
    return with_decay(found, tree, flags["weight_decay"], by_classes)


def _as_text(name: str, value: Any) -> Any:
    """A list of excluded names is a Python literal on its command line; here a list of YAML or JSON is as good."""
    return repr(list(value)) if name == "lora_namespan_exclude" and isinstance(value, list | tuple) else value


def _check(flags: Mapping[str, Any]) -> None:
    for stops, what, remedy in (
        (flags["lora_enable"] and not flags["freeze_llm"], "lora_enable without freeze_llm", "freeze_llm True"),
        (flags["vision_lora"] and not flags["lora_enable"], "vision_lora without lora_enable", "lora_enable True"),
        (
            flags["vision_lora"] and not flags["freeze_vision_tower"],
            "vision_lora without freeze_vision_tower",
            "freeze_vision_tower True",
        ),
    ):
        if stops:
            raise TrainerRefuses(
                f"{NAME} stops: {what}.", expected=remedy, found=what, remedy=f"Set {remedy}, or leave the other out."
            )


def _full(flags: Mapping[str, Any], tree: ModuleTree) -> frozenset[str]:
    """Switches by part, then the last blocks again."""

    def trains(name: str) -> bool:
        if not _in_visual(name):
            return not flags["freeze_llm"]
        return not flags["freeze_merger" if _is_merger(name) else "freeze_vision_tower"]

    opened = {name for name in parameter_names(tree) if trains(name)}
    for flag, component in (("unfreeze_topk_llm", "language_model"), ("unfreeze_topk_vision", "vision_tower")):
        blocks = tree.blocks(component)
        if flags[flag] and blocks is not None:
            last = blocks.children[-flags[flag] :]
            opened |= {p.owner for block in last for p in tree.below(block.path)}
    return frozenset(opened)


def _with_lora(flags: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """Every linear layer and embedding whose name holds none of the excluded words, given to PEFT by whole names."""
    lora = Lora(flags["lora_rank"], flags["lora_alpha"], flags["lora_dropout"])
    found = peft_rule.select(tree, targets(flags, tree), lora, bias=flags["lora_bias"] or "none")
    # PEFT has frozen everything; two parts are opened again, by words in names.
    words = [w for w, flag in ((_VISUAL, "freeze_vision_tower"), (_MERGER, "freeze_merger")) if not flags[flag]]
    opened = chosen(parameter_names(tree), lambda name: contains_any(name, words))
    return Selection(found.trainable | opened, found.lora)


def targets(flags: Mapping[str, Any], tree: ModuleTree) -> list[str]:
    """The names of the layers that get adapters."""
    excluded = _excluded(flags["lora_namespan_exclude"])
    excluded += [] if flags["vision_lora"] else [_VISUAL]
    layers = [n.path for n in modules(tree) if n.adaptable in ("linear", "embedding")]
    found = [path for path in layers if not contains_any(path, excluded)]
    return found[-flags["num_lora_modules"] :] if flags["num_lora_modules"] > 0 else found


def _excluded(text: str | None) -> list[str]:
    if text is None:
        return []
    try:
        read = ast.literal_eval(text)
        if isinstance(read, list) and all(isinstance(word, str) for word in read):
            return list(read)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    raise BadConfig(
        f"{NAME}'s flag lora_namespan_exclude has a value that cannot be meant.",
        expected="a Python list of words",
        found=text[:60],
        remedy="Write, for example, \"['lm_head', 'embed_tokens']\".",
    )


def _in_visual(name: str) -> bool:
    return _VISUAL in name.split(".")


def _is_merger(name: str) -> bool:
    return not {_MERGER, "deepstack_merger_list"}.isdisjoint(name.split("."))


def _rate(name: str, flags: Mapping[str, Any]) -> float | None:
    rate = flags["merger_lr"] if _MERGER in name else flags["vision_lr"] if _VISUAL in name else None
    return None if rate is None else float(rate)
