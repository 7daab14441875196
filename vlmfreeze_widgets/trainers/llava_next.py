"""LLaVA-NeXT's trainer, which made LLaVA-1.6's successors and LLaVA-OneVision: ``mm_tunable_parts`` with ``mm_projector_lr`` and
``mm_vision_tower_lr``; without it the switches of LLaVA, to which ``unfreeze_mm_vision_tower`` is added.

Source: ``llava/train/train.py``, ``llava/train/llava_trainer.py`` and ``llava/model/llava_arch.py`` of LLaVA-VL/LLaVA-NeXT at
df179663; its own statements were run on tiny models (``tests/trainers/published/llava-next.jsonl.gz``). All of them are inside
``if model_args.vision_tower is not None``, so ``--vision_tower`` is taken as given. Names are those of transformers' LLaVA, part
for part. How a plan is written as its arguments is in ``llava_next_export``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from . import peft_rule
from .decay_rule import by_classes, with_decay
from .flags import Flag, read_flags
from .name_matching import modules, parameter_names
from .part_names import check_model_type, has_segment, with_rates
from .selection import Selection

NAME = "LLaVA-NeXT"
MODEL_TYPES = (
    "llava", "llava_next", "llava_next_video", "llava_onevision", "llava_llama", "llava_mistral", "llava_mixtral", "llava_qwen",
)  # fmt: skip
TOWER, PROJECTOR, RESAMPLER, LANGUAGE = "mm_vision_tower", "mm_mlp_adapter", "mm_vision_resampler", "mm_language_model"
FLAGS: Mapping[str, Flag] = {
    "mm_tunable_parts": Flag("text", None),
    "freeze_backbone": Flag("bool", False),
    "tune_mm_mlp_adapter": Flag("bool", False),
    "tune_mm_vision_resampler": Flag("bool", False),
    "freeze_mm_mlp_adapter": Flag("bool", False),
    "freeze_mm_vision_resampler": Flag("bool", False),
    "unfreeze_mm_vision_tower": Flag("bool", False),
    "unfreeze_language_model": Flag("bool", False),
    "mm_use_im_start_end": Flag("bool", False),
    "mm_projector_lr": Flag("float", None),
    "mm_vision_tower_lr": Flag("float", None),
    "lora_enable": Flag("bool", False),
    "lora_r": Flag("int", 64),
    "lora_alpha": Flag("int", 16),
    "lora_dropout": Flag("float", 0.05),
    "lora_bias": Flag("text", "none"),
    "pretrain_mm_mlp_adapter": Flag("text", None),
    "base_checkpoint": Flag("text", None),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
}
"""``base_checkpoint`` is no argument: "llm" where model_name_or_path is a language model alone, "llava" where it has a tower
already, which is there then when LoRA looks for layers. With ``pretrain_mm_mlp_adapter`` it is the former, else the latter."""


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What LLaVA-NeXT's train.py trains with these arguments, in its own order: LoRA, the vision modules, then the switches.

    Args:
        given: Arguments as its scripts write them.
        tree: A model of LLaVA's make.

    Raises:
        TrainerRefuses: The model is not of that make.
        BadConfig: An argument that it does not have.
    """
    # A list of YAML is as good as the text with commas that its command line has.
    parts = given.get("mm_tunable_parts")
    joined = {**given, "mm_tunable_parts": ",".join(map(str, parts))} if isinstance(parts, list | tuple) else given
    flags = read_flags(joined, FLAGS, NAME)
    check_model_type(tree, MODEL_TYPES, NAME, "a LLaVA")
    fresh = _is_fresh(flags)
    names = {name: part_of(name) for name in parameter_names(tree)}
    found = _before_the_switches(flags, tree, names, fresh)
    found = _old_switches(flags, names, found) if flags["mm_tunable_parts"] is None else _parts(flags, names, found)
    if flags["mm_use_im_start_end"] and flags["tune_mm_mlp_adapter"]:
        heads = frozenset(p.owner for p in tree.parameters_of.get("head", ()))
        opened = frozenset(p.owner for p in tree.parameters_of.get("embeddings", ()))
        found = Selection((found.trainable | opened) - heads, found.lora)
    found = with_rates(found, flags["learning_rate"], lambda name: _rate(name, flags))
    return with_decay(found, tree, flags["weight_decay"], by_classes)


def _is_fresh(flags: Mapping[str, Any]) -> bool:
    given = flags["base_checkpoint"] or ("llm" if flags["pretrain_mm_mlp_adapter"] else "llava")
    return bool(given == "llm")


def part_of(name: str) -> str:
    """Its name for the part that a parameter or module lies in; a loose ``image_newline`` counts to the language model."""
    for part, words in (
        (TOWER, ("vision_tower",)),
        (PROJECTOR, ("multi_modal_projector", "mm_projector")),
        (RESAMPLER, ("vision_resampler",)),
    ):
        if has_segment(name, words):
            return part
    return LANGUAGE


def _before_the_switches(
    flags: Mapping[str, Any], tree: ModuleTree, names: Mapping[str, str], fresh: bool
) -> Selection:
    """What is open once LoRA is in and the vision modules are made or loaded."""
    # What is made after the freezing begins open, and the projector is opened even if it was there.
    newborn = {n for n, part in names.items() if fresh and part == LANGUAGE and n.endswith("image_newline")}
    opened = newborn | {name for name, part in names.items() if part in (PROJECTOR, RESAMPLER)}
    if not flags["lora_enable"]:
        heads = {p.name for p in tree.parameters_of.get("head", ()) if not p.is_alias}
        if not flags["freeze_backbone"]:
            opened |= {name for name, part in names.items() if part == LANGUAGE}
        return Selection(frozenset(opened | heads))
    linear = [n for n in modules(tree) if n.adaptable == "linear" and part_of(n.path) == LANGUAGE]
    lora = Lora(flags["lora_r"], flags["lora_alpha"], flags["lora_dropout"])
    bias = "all" if flags["lora_bias"] == "all" else "none"
    targets = sorted({n.name for n in linear} - {"lm_head"})
    found = peft_rule.select(tree, targets, lora, bias=bias)
    there = (LANGUAGE,) if fresh else (LANGUAGE, TOWER)
    kept = {path: lora for path, lora in found.lora.items() if part_of(path) in there}
    biases = {name for name in found.trainable if part_of(name) in there}
    return Selection(frozenset(opened | biases), kept)


def _old_switches(flags: Mapping[str, Any], names: Mapping[str, str], found: Selection) -> Selection:
    """Without mm_tunable_parts: LLaVA's switches, and the tower's, which also closes adapters in it."""
    full = set(found.trainable)
    if flags["tune_mm_mlp_adapter"] or flags["tune_mm_vision_resampler"]:
        full = set()
    for part, tune, freeze in (
        (PROJECTOR, "tune_mm_mlp_adapter", "freeze_mm_mlp_adapter"),
        (RESAMPLER, "tune_mm_vision_resampler", "freeze_mm_vision_resampler"),
    ):
        inside = {name for name, held in names.items() if held == part}
        full = (full | inside if flags[tune] else full) - (inside if flags[freeze] else set())
    tower = {name for name, held in names.items() if held == TOWER}
    if flags["unfreeze_mm_vision_tower"]:
        return Selection(frozenset(full | tower), found.lora)
    return Selection(
        frozenset(full - tower), {path: lora for path, lora in found.lora.items() if part_of(path) != TOWER}
    )


def _parts(flags: Mapping[str, Any], names: Mapping[str, str], found: Selection) -> Selection:
    """Everything is closed, the listed parts are opened, and adapters wherever they are. Words are not stripped of spaces."""
    wanted = set(flags["mm_tunable_parts"].split(","))
    if flags["lora_enable"]:
        wanted -= {LANGUAGE}
    return Selection(frozenset(name for name, part in names.items() if part in wanted), found.lora)


def _rate(name: str, flags: Mapping[str, Any]) -> float | None:
    rates = {PROJECTOR: flags["mm_projector_lr"], TOWER: flags["mm_vision_tower_lr"]}
    rate = rates.get(part_of(name))
    return None if rate is None else float(rate)
