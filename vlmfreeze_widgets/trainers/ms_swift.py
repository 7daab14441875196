"""ms-swift (4.6): ``tuner_type`` full, lora or lora_llm, the three freeze switches, and prefixes and patterns beside them.

Long because one order of decisions is written whole: full, LoRA and lora_llm share flags, and each ends in the same rates.

Its table of architectures is read in ``ms_swift_archs``; how a plan is written as its YAML is in ``ms_swift_export``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.components import is_below
from ..core.tree.tree import ModuleTree, Node
from . import loraplus, peft_rule
from .decay_rule import by_names_and_classes, with_decay
from .flags import Flag, read_flags
from .ms_swift_archs import ALIASES, Arch, arch_of
from .name_matching import chosen, is_linear_by_class, modules, parameter_names, pattern_of, starts_with_any
from .releases import Takes
from .selection import Selection

NAME = "ms-swift"
TAKES = Takes((4, 33, 0), (5, 19, 0))
"""What 4.6.0 asks for of transformers: ``<5.20.0,>=4.33``; 5.19.0 is the last below."""
ALL_LINEAR, ALL_EMBEDDING, ALL_NORM = "all-linear", "all-embedding", "all-norm"
FLAGS: Mapping[str, Flag] = {
    "tuner_type": Flag("text", "lora"),
    "freeze_llm": Flag("bool", False),
    "freeze_vit": Flag("bool", True),
    "freeze_aligner": Flag("bool", True),
    "freeze_parameters": Flag("names", []),
    "freeze_parameters_regex": Flag("text", None),
    "freeze_parameters_ratio": Flag("float", 0.0),
    "trainable_parameters": Flag("names", []),
    "trainable_parameters_regex": Flag("text", None),
    "target_modules": Flag("names", [ALL_LINEAR]),
    "target_regex": Flag("text", None),
    "target_parameters": Flag("names", []),
    "modules_to_save": Flag("names", []),
    "lora_rank": Flag("int", 8),
    "lora_alpha": Flag("float", 32),
    "lora_dropout": Flag("float", 0.05),
    "lora_bias": Flag("text", "none"),
    "use_dora": Flag("bool", False),
    "use_rslora": Flag("bool", False),
    "lorap_lr_ratio": Flag("float", None),
    "optimizer": Flag("text", None),
    "vit_lr": Flag("float", None),
    "aligner_lr": Flag("float", None),
    "learning_rate": Flag("float", None),
    "weight_decay": Flag("float", 0.1),
}
OLD_NAMES = {"train_type": "tuner_type", "sft_type": "tuner_type"}
RELEASE = "4.6.0"
_OPTIMIZERS = ("default", "galore", "lorap", "muon", "muonclip", "multimodal")
_PASSED_OVER = "NonDynamicallyQuantizableLinear"  # in nn.MultiheadAttention, which never calls it; PEFT alone adapts it
_NEVER_ADAPTED = ("lm_head", "score", "v_head", "classifier")
# Classes that call themselves linear and only hold a linear layer, which is adapted in their place.
_WRAPPERS = ("glulinear", "gemma4clippablelinear")


def simulate(given: Mapping[str, Any], tree: ModuleTree, version: str = RELEASE) -> Selection:
    """What ms-swift trains with these flags, by its own order of decisions.

    Args:
        given: Flags as its users write them (v4's names, or v3's ``train_type``); the defaults of the rest apply.
        tree: The model.
        version: "4.6.0", or the sources of "4.6.0.dev0" without its own wrapper of PEFT, which pass over an aligner that is
            itself a linear layer, and with per-part rates leave parameters outside all parts in no optimizer group.

    Raises:
        TrainerRefuses: ms-swift itself stops, and why.
        BadConfig: A flag or value that it does not have.
    """
    flags = read_flags({OLD_NAMES.get(name, name): value for name, value in given.items()}, FLAGS, NAME)
    arch = arch_of(tree)
    kind = flags["tuner_type"]
    if kind == "full":
        found = Selection(_full(flags, tree, arch))
    elif kind == "lora":
        found = _lora(flags, tree, arch, version == RELEASE)
    elif kind == "lora_llm":
        found = _lora_llm(flags, tree, arch, version == RELEASE)
    else:
        raise TrainerRefuses(
            f"tuner_type {kind!r} is not one that can be followed here.",
            expected="full, lora or lora_llm",
            found=str(kind),
            remedy="Choose one of the three.",
        )
    if version == RELEASE:
        passed = {node.path for node in tree.nodes if node.class_name == _PASSED_OVER}
        left = {path: lora for path, lora in found.lora.items() if path not in passed}
        found = replace(found, lora=left)
    found = _with_rates(found, flags, arch, tree, version == RELEASE)
    if has_loraplus(flags):
        return with_decay(found, tree, flags["weight_decay"], loraplus.spares_among_sped_up(by_names_and_classes))
    return with_decay(found, tree, flags["weight_decay"])


def _full(flags: Mapping[str, Any], tree: ModuleTree, arch: Arch) -> frozenset[str]:
    frozen, trainable = list(flags["freeze_parameters"]), list(flags["trainable_parameters"])
    frozen += arch.language_model if flags["freeze_llm"] else ()
    frozen += arch.vision_tower if flags["freeze_vit"] else ()
    # A merger lies inside the vision prefix: it is saved from it by being named as trainable.
    (frozen if flags["freeze_aligner"] else trainable).extend(arch.aligner)
    frozen += arch.generator
    names = parameter_names(tree)
    sums = list(accumulate(tree.by_name[name].params for name in names))
    ratio = flags["freeze_parameters_ratio"]
    first = bisect_right(sums, int(sums[-1] * ratio)) if ratio > 0 else 0
    freezing, opening = _search(flags["freeze_parameters_regex"]), _search(flags["trainable_parameters_regex"])
    early = set(names[:first])
    return chosen(
        names,
        lambda name: (
            starts_with_any(name, trainable)
            or opening(name)
            or not (name in early or starts_with_any(name, frozen) or freezing(name))
        ),
    )


def _search(pattern: str | None) -> Any:  # a rule on names
    try:
        found = pattern_of(pattern, NAME) if pattern else None
    except TrainerRefuses:
        found = None  # ms-swift warns and goes on
    return lambda name: found is not None and found.search(name) is not None


def _lora(flags: Mapping[str, Any], tree: ModuleTree, arch: Arch, release: bool) -> Selection:
    lora = Lora(
        flags["lora_rank"],
        flags["lora_alpha"],
        flags["lora_dropout"],
        use_dora=flags["use_dora"],
        use_rslora=flags["use_rslora"],
    )
    targets: Any = flags["target_regex"]
    if targets is None:
        named = flags["target_modules"]
        targets = _open_layers(flags, tree, arch, release) if ALL_LINEAR in named else _expanded(named, tree)
    return peft_rule.select(
        tree,
        targets,
        lora,
        modules_to_save=_expanded(flags["modules_to_save"], tree),
        target_parameters=flags["target_parameters"],
        bias=flags["lora_bias"] or "none",
    )


def _open_layers(flags: Mapping[str, Any], tree: ModuleTree, arch: Arch, release: bool) -> str:
    """The pattern that ms-swift makes of "all-linear": the layers below the keys that are not frozen."""
    if arch.is_text:
        return f"^({'|'.join(re.escape(node.path) for node in modules(tree) if _is_target(node))})$"
    keys: list[tuple[str, tuple[str, ...]]] = []
    keys += [(key, ()) for key in arch.language_model] if not flags["freeze_llm"] else []
    keys += [(key, arch.aligner) for key in arch.vision_tower] if not flags["freeze_vit"] else []
    keys += [(key, ()) for key in arch.aligner] if not flags["freeze_aligner"] else []
    if not keys:
        raise TrainerRefuses(
            "ms-swift stops (AssertionError): with LoRA on all-linear at least one part must not be frozen.",
            expected="freeze_llm, freeze_vit or freeze_aligner false",
            found="all three true",
            remedy="Unfreeze a part; in LoRA mode that is where adapters go.",
        )
    embeddings = ALL_EMBEDDING in flags["target_modules"]
    found = [n.path for key, nested in keys for n in _layers_below(key, nested, tree, embeddings, release)]
    if not found:
        raise TrainerRefuses(
            "ms-swift stops: the open parts have no linear layer below them.",
            expected="a part that holds linear layers",
            found=", ".join(key for key, _ in keys),
            remedy="Unfreeze another part, or name the layer itself in target_regex (ms-swift PR#10153).",
        )
    return f"^({'|'.join(re.escape(path) for path in found)})$"


def _layers_below(key: str, nested: Iterable[str], tree: ModuleTree, embeddings: bool, at: bool) -> list[Node]:
    """The layers below a key; ``at``: also the key itself, which older versions pass over in silence."""
    return [
        node
        for node in modules(tree)
        if (at or node.path != key)
        and is_below(node.path, key)
        and not any(is_below(node.path, other) for other in nested)
        and (_is_target(node) or (embeddings and node.peft_kind == "embedding"))
    ]


def _is_target(node: Node) -> bool:
    wraps = any(word in node.class_name.lower() for word in _WRAPPERS)
    return is_linear_by_class(node) and not wraps and node.name not in _NEVER_ADAPTED


def _expanded(named: Iterable[str], tree: ModuleTree) -> list[str]:
    """Names, with the words for all embeddings and all norms replaced by the paths of those."""
    found: list[str] = []
    for name in named:
        if name == ALL_EMBEDDING:
            found += [n.path for n in modules(tree) if n.peft_kind == "embedding"]
        elif name == ALL_NORM:
            found += [n.path for n in modules(tree) if "norm" in n.class_name.lower()]
        else:
            found.append(name)
    return found


def _lora_llm(flags: Mapping[str, Any], tree: ModuleTree, arch: Arch, release: bool) -> Selection:
    """LoRA on the language model with rank and alpha only; vision tower and aligner train in full, whatever is frozen."""
    lora = Lora(flags["lora_rank"], flags["lora_alpha"])
    _check_reachable(tree, arch)
    defaults = {name: flag.default for name, flag in FLAGS.items()}
    found = peft_rule.select(tree, _open_layers(defaults, tree, arch, release), lora)
    keys = (*arch.vision_tower, *arch.aligner)
    return replace(found, trainable=chosen(parameter_names(tree), lambda n: any(is_below(n, key) for key in keys)))


def _check_reachable(tree: ModuleTree, arch: Arch) -> None:
    """lora_llm asks the model itself for each part by name, where transformers 5 keeps most of them one level further down."""
    top, inner = ({n.path.removeprefix(p) for n in modules(tree)} for p in ("", "model."))
    for key in (*arch.vision_tower, *arch.aligner):
        path = key.removeprefix("model.")
        first = path.partition(".")[0]
        if not (first in top or (first in inner and first in ALIASES)):
            raise _stops(f"lora_llm looks for {path} and the model has no attribute of that name", key)
    if arch.is_text:
        raise _stops("lora_llm needs a model whose parts it knows", tree.root.class_name)


def _stops(why: str, found: str) -> TrainerRefuses:
    return TrainerRefuses(
        f"ms-swift stops: {why}.",
        expected="settings under which its own code runs",
        found=found,
        remedy="Choose other settings, or another trainer.",
    )


def _with_rates(found: Selection, flags: Mapping[str, Any], arch: Arch, tree: ModuleTree, release: bool) -> Selection:
    usual = flags["learning_rate"]
    if usual is None:
        usual = 1e-5 if flags["tuner_type"] == "full" else 1e-4
    if has_loraplus(flags):
        slow = dict.fromkeys(("lora_A", "lora_B"), loraplus.EMBEDDING_LR)  # which no flag changes
        return loraplus.with_rates(found, tree, usual, flags["lorap_lr_ratio"], slow)
    if optimizer_of(flags) != "multimodal":
        return found.at_rate(usual)
    if arch.is_text:
        raise _stops("vit_lr and aligner_lr need a model whose parts it knows", tree.root.class_name)
    if not found.names:
        raise _stops("with vit_lr or aligner_lr the optimizer is given nothing (ValueError: empty parameter list)", "")
    lr = {}
    for name in found.names:
        if starts_with_any(name, arch.aligner):
            lr[name] = usual if flags["aligner_lr"] is None else flags["aligner_lr"]
        elif starts_with_any(name, arch.vision_tower):
            lr[name] = usual if flags["vit_lr"] is None else flags["vit_lr"]
        elif release or starts_with_any(name, arch.language_model):
            lr[name] = usual
    return replace(found, lr=lr)


def optimizer_of(flags: Mapping[str, Any]) -> str:
    """Which of its optimizers makes the groups: the one that is named, else LoRA+'s, else that of rates per part.

    Raises:
        TrainerRefuses: It has none of that name (``optim`` is transformers').
    """
    named = flags["optimizer"]
    if named is None:
        by_part = flags["vit_lr"] is not None or flags["aligner_lr"] is not None
        return "lorap" if flags["lorap_lr_ratio"] else "multimodal" if by_part else "default"
    if named not in _OPTIMIZERS:
        raise _stops(f"it has the optimizers {', '.join(_OPTIMIZERS)} (KeyError)", named)
    return str(named)


def has_loraplus(flags: Mapping[str, Any]) -> bool:
    """Whether LoRA+'s groups are made: only its own wrapper of PEFT knows them, and the other two modes keep one rate."""
    ratio = flags["lorap_lr_ratio"]
    return flags["tuner_type"] == "lora" and optimizer_of(flags) == "lorap" and ratio is not None
