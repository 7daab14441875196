"""Unsloth (2026.10.9), its vision path: ``get_peft_model`` with ``finetune_vision_layers`` and its brothers, which select by words
in names. How a plan is written as its call is in ``unsloth_export``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.tree import ModuleTree
from ..core.tuning import Lora
from . import peft_rule
from .flags import Flag, read_flags
from .names import modules
from .selection import Selection

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
    "target_modules": Flag("names or text", None),
    "modules_to_save": Flag("names", []),
    "use_rslora": Flag("bool", False),
    "use_dora": Flag("bool", False),
    "learning_rate": Flag("float", 2e-4),
    "weight_decay": Flag("float", 0.0),
}
_WORDS = {
    "finetune_vision_layers": ("vision", "image", "visual", "patch"),
    "finetune_language_layers": ("language", "text"),
    "finetune_audio_layers": ("audio", "speech"),
}
_KINDS = {
    "finetune_attention_modules": ("self_attn", "attention", "attn"),
    "finetune_mlp_modules": ("mlp", "feed_forward", "ffn", "dense"),
}
_TRAINED_WHOLE = ("embed_tokens", "lm_head")


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What ``FastVisionModel.get_peft_model`` adapts with these arguments.

    Args:
        given: Arguments as in its notebooks; ``learning_rate`` beside them, since the call has none.
        tree: The model.

    Raises:
        TrainerRefuses: Unsloth itself stops, and why.
        BadConfig: An argument that it does not have.
    """
    flags = read_flags(given, FLAGS, NAME)
    targets, saved = flags["target_modules"], list(flags["modules_to_save"])
    if isinstance(targets, list):
        # Embeddings and head are trained as a whole instead of getting adapters.
        saved += [name for name in _TRAINED_WHOLE if name in targets and name not in saved]
        targets = [name for name in targets if name not in _TRAINED_WHOLE]
    pattern = _pattern(flags, targets, tree)
    lora = Lora(
        flags["r"],
        flags["lora_alpha"],
        flags["lora_dropout"],
        use_dora=flags["use_dora"],
        use_rslora=flags["use_rslora"],
    )
    saved = [name for name in saved if any(node.path.endswith(name) for node in modules(tree))]
    found = peft_rule.select(tree, pattern, lora, modules_to_save=saved, bias=flags["bias"] or "none")
    return found.at_rate(flags["learning_rate"])


def _pattern(flags: Mapping[str, Any], targets: Any, tree: ModuleTree) -> Any:  # noqa: ANN401
    switches = (*_WORDS, *_KINDS)
    defaults = all(flags[name] == FLAGS[name].default for name in switches) and flags["finetune_last_n_layers"] is None
    if isinstance(targets, list) and targets and defaults:
        return targets
    if targets == "all-linear":
        flags = {**flags, **{name: FLAGS[name].default for name in switches}}
        targets = None
    parts = [word for name, words in _WORDS.items() if flags[name] for word in words]
    kinds = [word for name, words in _KINDS.items() if flags[name] for word in words]
    for chosen, what in ((parts, "layers"), (kinds, "modules")):
        if not chosen:
            raise TrainerRefuses(
                f"Unsloth stops: no {what} to finetune.",
                expected="at least one finetune_ switch on",
                found="all off",
                remedy="Switch on vision or language, and attention or mlp.",
            )
    linear = [n.path for n in modules(tree) if n.adaptable == "linear"]
    if targets:
        leaves = list(targets)
    else:
        # A name that occurs once is a head or a projection, and left alone.
        leaves = [name for name, count in Counter(p.rpartition(".")[2] for p in linear).items() if count != 1]
    any_leaf = "|".join(re.escape(leaf) for leaf in leaves)
    pattern = f".*?(?:{'|'.join(parts)}).*?(?:{'|'.join(kinds)}).*?(?:{any_leaf}).*?"
    if flags["finetune_language_layers"]:
        pattern = rf"(?:{pattern})|(?:\bmodel\.layers\.[\d]{{1,}}\.(?:{'|'.join(kinds)})\.(?:(?:{any_leaf})))"
    seen = flags["finetune_vision_layers"] or flags["finetune_language_layers"]
    if seen and not any(re.search(pattern, path) for path in linear):
        # Rather than stopping, it forgets which part of the model was asked for.
        pattern = f".*?(?:{'|'.join(kinds)}).*?(?:{any_leaf}).*?"
    matched = [path for path in linear if re.fullmatch(pattern, path)]
    if flags["finetune_last_n_layers"] is not None:
        matched = _last_layers(matched, flags["finetune_last_n_layers"], tree)
    if not matched:
        raise TrainerRefuses(
            "Unsloth stops: no layers to finetune.",
            expected="a linear layer whose path holds the words of the switches",
            found=", ".join(parts),
            remedy="Switch on another part.",
        )
    return pattern if flags["finetune_last_n_layers"] is None else "|".join(re.escape(path) for path in matched)


def _last_layers(matched: list[str], number: int, tree: ModuleTree) -> list[str]:
    """Layers with the indices of the language model's last ones, in whatever part of the model they lie."""
    blocks = tree.blocks("language_model")
    count = len(blocks.children) if blocks else 0
    last = {str(index) for index in range(max(0, count - number), count)}
    return [path for path in matched if (index := re.search(r"\.(\d+)\.", path)) and index[1] in last]
