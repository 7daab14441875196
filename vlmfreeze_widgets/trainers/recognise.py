"""Whose settings these are, and which of them say what trains without being the chosen trainer's. Flags are shared: ``freeze_llm``
is ms-swift's, InternVL's and Qwen-VL-Series-Finetune's, so one name decides nothing; all of them together do, and the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ..core.errors import BadConfig
from ..core.tree.tree import ModuleTree
from .trainer import Trainer

_ZERO_NLP_WORDS = ("none", "freeze_vision", "use_lora")
_SCRIPTS = {"transformers": "trainer", "trl": "trl"}  # what the exported script's plan.json calls them
_EVERYBODYS = {"learning_rate", "weight_decay", "optimizer", "loraplus_lr_ratio", "loraplus_lr_embedding"}
_SAME_FLAGS = ["llava", "llava-next"]
"""LLaVA-NeXT kept LLaVA's flags and its scripts write mm_tunable_parts instead of them: without that word they are LLaVA's."""
_SELECTS = re.compile(
    r"freez|frozen|^tune_|tunable|trainable|(^|_)lora|^adapter$|^use_(peft|dora|lora)|modules_to_save|target_(modules|parameters|regex)"
    r"|(vit|vision|visual|tower|backbone|aligner|projector|merger|mlp|llm|language|head|embedding|connector|adapter|audio)\w*_lr$"
    r"|^lr_(groups|mult)|^finetune_\w+_(layers|modules)$|layers_to_transform|requires_grad|^(finetuning|tuner|sft)_type$"
)
"""Names that say what trains, or at which rate a part does, in every trainer looked at; new ones of the kind are caught too."""
_WITHOUT_EFFECT = re.compile(
    r"^lora_(weight_path|path|ckpt|task_type|dtype|ga_\w+|namespan|on_cpu|model_dir|fan_in_fan_out|mlp_kernel|qkv_kernel|o_kernel"
    r"|embedding_kernel|modules|request|name)$|^loraplus_lr_embedding$|^init_lora|^peft_init_lora|^pretrain_mm_mlp_adapter$|^merge_lora"
    r"|_checkpointing$|^(vllm|sglang|kt)_|^optim_target_modules$|^adapter_(name|path|folder)\w*$|^unsloth_\w+|^(max|merge|sample)_lora"
)
"""Names that only look like it: where adapters lie, how they begin, in which dtype and by which kernel."""


def recognised(given: Mapping[str, Any], tree: ModuleTree | None, trainers: Mapping[str, Trainer]) -> str:
    """The key of the trainer that the settings are of.

    Args:
        given: The settings.
        tree: The model, which not every trainer loads.
        trainers: Key -> trainer.

    Raises:
        BadConfig: None knows them, or several do.
    """
    if str(given.get("train_type", "")).lower() in _ZERO_NLP_WORDS:
        return "zero-nlp"
    if "rates" in given and given.get("trainer") in _SCRIPTS:
        return _SCRIPTS[given["trainer"]]
    known = {key: _known(given, trainer) for key, trainer in trainers.items() if trainer.marks}
    knowing = [key for key, names in known.items() if names and not strange(given, trainers[key])]
    if tree is not None and tree.model_type:
        knowing = [k for k in knowing if not trainers[k].loads or tree.model_type in trainers[k].loads] or knowing
    candidates = knowing or [key for key, names in known.items() if names]
    most = [key for key in candidates if len(known[key]) == max(len(known[k]) for k in candidates)]
    if most == _SAME_FLAGS:
        return most[0]
    if len(most) != 1:
        shown = most or list(known)
        raise BadConfig(
            "It is not plain whose settings these are.",
            expected=", ".join(f"{key} ({', '.join(trainers[key].marks[:2])})" for key in shown),
            found=", ".join(list(given)[:8]) or "nothing",
            remedy=f"Say it: import_strategy(..., trainer={shown[0]!r}).",
        )
    return most[0]


def _known(given: Mapping[str, Any], trainer: Trainer) -> set[str]:
    """What of the settings is this trainer's, and not everybody's."""
    return (given.keys() & {*trainer.flags, *trainer.marks}) - _EVERYBODYS


def strange(given: Mapping[str, Any], chosen: Trainer) -> list[str]:
    """Settings that say what trains and are not this trainer's."""
    known = {*chosen.flags, *chosen.marks, *chosen.harmless}
    return [
        name
        for name, value in given.items()
        if name not in known and _SELECTS.search(name) and not _is_idle(name, value)
    ]


def _is_idle(name: str, value: Any) -> bool:
    """Whether it changes nothing: not set, or an addition that is switched off. A freezing that is off may be what opens a part."""
    if value is None or _WITHOUT_EFFECT.search(name):
        return True
    is_off = not value or str(value).strip().lower() in ("false", "0", "none", "null", "no", "off")
    return is_off and not re.search(r"freez|tun[ae]|train", name)


def check_known(given: Mapping[str, Any], chosen: Trainer, trainers: Mapping[str, Trainer]) -> None:
    """Refuses settings that say what trains and that this trainer's rule does not look at.

    Raises:
        BadConfig: The same, with who has such a flag.
    """
    names = strange(given, chosen)
    # A known flag that is misspelt is told by read_flags, with the flag that was meant.
    names = [name for name in names if not get_close_matches(name, chosen.flags, n=1, cutoff=0.88)]
    if not names:
        return
    name = names[0]
    theirs = [key for key, trainer in trainers.items() if name in trainer.flags]
    raise BadConfig(
        f"{chosen.name} has no setting {name!r}, and it says what trains.",
        expected=f"settings of {chosen.name}: {', '.join(list(chosen.flags)[:8])}, …",
        found=", ".join(names[:6]) + (f" ({name} is a flag of {', '.join(theirs)})" if theirs else ""),
        remedy=f"Say whose settings they are: import_strategy(..., trainer={theirs[0]!r})." if theirs
        else "Leave it out if it changes nothing, or say the same by the settings that are known.",
    )  # fmt: skip
