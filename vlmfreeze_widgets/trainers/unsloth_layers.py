"""Which layers Unsloth's switches mean (unsloth_zoo 2026.10.9): it selects by words in names, with a few rules for single families.

What is then done with them is in ``unsloth``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import TrainerRefuses
from ..core.tree.tree import ModuleTree, Node
from .name_matching import has_suffix, modules

SWITCHES = (
    "finetune_vision_layers",
    "finetune_language_layers",
    "finetune_attention_modules",
    "finetune_mlp_modules",
    "finetune_audio_layers",
)
CLIPPABLE: Mapping[str, str] = {"Gemma4ClippableLinear": "linear"}
"""Class of a wrapper -> the child that is adapted in its place."""
_PARTS = {
    "finetune_vision_layers": ("vision", "image", "visual", "patch"),
    "finetune_language_layers": ("language", "text"),
}
_KINDS = {
    "finetune_attention_modules": ("self_attn", "attention", "attn", "mixer"),
    "finetune_mlp_modules": ("mlp", "feed_forward", "ffn", "dense", "mixer"),
}
_ROUTER = "router"  # left out by its last name; a "gate" by where it lies
_FROZEN_CODECS = r"(?:.*\.)?(?:codec_model|audio_tokenizer|acoustic_tokenizer|semantic_tokenizer)\."
_MAMBA_MODELS = {"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h", "nemotron_h_puzzle"}
_MAMBA = ("FalconH1", "FalconMamba", "Mamba", "NemotronH")
_READ_BY_MAMBA = ("out_proj", "conv1d")  # their weights go to a fused kernel, past any adapter
_EXPERT_WORDS = ("gate_proj", "up_proj", "down_proj", "gate_up_proj")
_UNCOUNTED = {"aria"}  # its config calls the number of experts by none of the names that Unsloth looks for
_GEMMA = ("gemma4", "gemma3n", "embedding_gemma2")


def chosen_layers(flags: Mapping[str, Any], named: list[str] | None, tree: ModuleTree) -> list[str]:
    """Paths of the layers that get adapters.

    Args:
        flags: Its arguments.
        named: The user's own list of last names; None for the automatic choice.
        tree: The model.

    Raises:
        TrainerRefuses: It stops, since no layers are left.
    """
    parts = [word for name, words in _PARTS.items() if flags[name] for word in words]
    kinds = [word for name, words in _KINDS.items() if flags[name] for word in words]
    if not parts and not flags["finetune_audio_layers"]:
        raise _nothing("layers", "all off", "Switch on vision or language.")
    if not kinds:
        raise _nothing("modules", "both off", "Switch on attention or mlp.")
    every = modules(tree)
    linear = [n.path for n in every if _is_linear(n)]
    linear += [f"{n.path}.{inner}" for n in every if (inner := CLIPPABLE.get(n.class_name))]
    leaves = _leaves(linear, tree) if named is None else named
    patterns = _word_patterns(parts, kinds, leaves, bool(flags["finetune_language_layers"]))
    patterns += _family_patterns(flags, named, linear, tree)
    if parts and not _any(patterns, linear):
        # Rather than stopping, it forgets which part of the model was asked for.
        patterns = [rf"(?!{_FROZEN_CODECS}).*?(?:{_either(kinds)}).*?\.(?:{_either(leaves)})"]
    outside = _left_out(named, tree)
    found = [n.path for n in every if n.path not in outside and not _is_empty(n) and _any(patterns, [n.path])]
    # Its last look is at the linear layers alone.
    if not set(found) & {*linear, *(path.rpartition(".")[0] for path in linear if path.endswith(".linear"))}:
        raise _nothing("layers", ", ".join(parts) or "audio layers alone", "Switch on another part.")
    return found


def _leaves(linear: list[str], tree: ModuleTree) -> list[str]:
    """Last names; one that occurs once and not inside numbered blocks is a head or a projection, and left alone."""
    counts = Counter(path.rpartition(".")[2] for path in linear)
    inside = {path.rpartition(".")[2] for path in linear if re.search(r"\.\d+\.", path)}
    found = [name for name, count in counts.items() if name != _ROUTER and (count != 1 or name in inside)]
    return [name for name in found if not (tree.model_type in _MAMBA_MODELS and name in _READ_BY_MAMBA)]


def _word_patterns(parts: list[str], kinds: list[str], leaves: Iterable[str], language: bool) -> list[str]:
    if not parts:
        return []
    leaf = rf"\.(?:{_either(leaves)})"
    found = [rf".*?(?:{'|'.join(parts)}).*?(?:{'|'.join(kinds)}).*?{leaf}"]
    if language:
        # A text model's own layers have no word of a part before them; experts that are modules are left alone.
        found.append(rf"model\.layers\.\d+(?!.*\.experts\.\d)\..*?(?:{'|'.join(kinds)}).*?{leaf}")
    return found


def _family_patterns(
    flags: Mapping[str, Any], named: list[str] | None, linear: list[str], tree: ModuleTree
) -> list[str]:
    """Layers of Gemma's and Voxtral's towers and embedders whose names hold none of the words."""
    attention, mlp = flags["finetune_attention_modules"], flags["finetune_mlp_modules"]
    cores: list[tuple[str, str]] = []
    names: tuple[str, ...]
    gemma = any(word in tree.model_type for word in _GEMMA)
    if flags["finetune_audio_layers"] and gemma:
        names = ("q_proj", "k_proj", "v_proj", "relative_k_proj", "pos_proj", "post") if attention else ()
        names += (
            ("ffw_layer_1", "ffw_layer_2", "linear_start", "linear_end", "input_proj_linear", "output_proj")
            if mlp
            else ()
        )
        cores += [(rf"\baudio_tower\.(?:.*\.)?{name}", name) for name in names]
        cores += [(r"\bembed_audio\.embedding_projection", "embedding_projection")] if mlp else []
    if flags["finetune_audio_layers"] and tree.model_type.startswith("voxtral"):
        names = ("q_proj", "k_proj", "v_proj", "out_proj", "o_proj") if attention else ()
        names += ("fc1", "fc2", "gate_proj", "up_proj", "down_proj") if mlp else ()
        cores += [(rf"\baudio_tower\.(?:.*\.)?{name}", name) for name in names]
        cores += [(rf"\bmulti_modal_projector\.{name}", name) for name in ("linear_1", "linear_2") if mlp]
    if flags["finetune_vision_layers"] and mlp and gemma:
        cores += [
            (r"\bembed_vision\.embedding_projection", "embedding_projection"),
            (r"\bvision_embedder\.patch_dense", "patch_dense"),
            (r"\bvision_tower\.patch_embedder\.input_proj", "input_proj"),
        ]
    both = [rf".*?{core}{end}" for core, name in cores if named is None or name in named for end in (r"\.linear", "")]
    return [pattern for pattern in both if _any([pattern], linear)]


def _left_out(named: list[str] | None, tree: ModuleTree) -> set[str]:
    """Gates of mixtures, and what a Mamba mixer inside the model reads itself; only a list of one's own reaches them."""
    if named is not None:
        return set()
    found = set()
    for node in modules(tree):
        parent = tree.by_path.get(node.path.rpartition(".")[0])
        if parent is None:
            continue
        siblings = {child.name for child in parent.children}
        if node.name == "gate" and node.peft_kind == "linear":
            if "experts" in siblings or "router" in parent.class_name.lower():
                found.add(node.path)
        elif node.name in _READ_BY_MAMBA and parent.name in ("mixer", "mamba") and parent.class_name.startswith(_MAMBA):
            found.add(node.path)
    return found


def expert_stacks(flags: Mapping[str, Any], named: Any, tree: ModuleTree) -> list[str]:
    """Suffixes of the stacked experts that get adapters without being asked for, wherever mlp layers of a mixture do.

    Args:
        flags: Its arguments.
        named: The user's own targets, without embeddings and head.
        tree: The model.
    """
    stacks = [node.path for node in tree.nodes if node.adaptable == "experts"]
    if not stacks or tree.model_type in _UNCOUNTED:
        return []
    if isinstance(named, list) and flags["finetune_mlp_modules"] and flags["finetune_language_layers"]:
        words = set(named) & set(_EXPERT_WORDS)
    elif isinstance(named, str) and named != "all-linear":
        words = _words_of_pattern(named)
    else:
        words = _words_of_choice(flags, named, tree)
    holder = (
        "mlp.experts" if any(has_suffix(path.rpartition(".")[0], ["mlp.experts"]) for path in stacks) else "experts"
    )
    names = {path.rpartition(".")[2] for path in stacks if has_suffix(path.rpartition(".")[0], [holder])}
    wanted = ["gate_up_proj"] if words & {"gate_proj", "up_proj", "gate_up_proj"} and "gate_up_proj" in names else []
    if not wanted:
        wanted += ["gate_proj"] if words & {"gate_proj", "gate_up_proj"} else []
        wanted += ["up_proj"] if words & {"up_proj", "gate_up_proj"} else []
    wanted += ["down_proj"] if "down_proj" in words else []
    return [f"{holder}.{name}" for name in wanted if name in names]


def _words_of_choice(flags: Mapping[str, Any], named: Any, tree: ModuleTree) -> set[str]:
    """The words in the pattern that it makes itself, whichever part of the model that pattern is for."""
    if named != "all-linear" and not flags["finetune_mlp_modules"]:
        return set()
    linear = [n.path for n in modules(tree) if _is_linear(n)]
    leaves = named if isinstance(named, list) else _leaves(linear, tree)
    return {word for word in _EXPERT_WORDS if any(word in leaf for leaf in leaves)} or set(_EXPERT_WORDS)


def _words_of_pattern(targets: str) -> set[str]:
    """The words in a pattern of the user's own, if it speaks of mlp layers at all."""
    if targets in _EXPERT_WORDS:
        return {targets}
    if not re.search(r"[*+?()\[\]{}|\\^$]", targets):
        return set()
    if not any(word in targets for word in ("mlp", "ffn", "feed_forward", "experts")):
        return set()
    words = {word for word in _EXPERT_WORDS if word in targets}
    generic = re.search(r"(?<![qkvo]_)(?<!out_)(?<!in_)proj", targets)
    return words or (set(_EXPERT_WORDS) if generic else set())


def _is_linear(node: Node) -> bool:
    """A linear layer whose forward returns a tensor; routers that return more than one are passed over."""
    return node.peft_kind == "linear" and (bool(node.adaptable) or "router" not in node.class_name.lower())


def _is_empty(node: Node) -> bool:
    """A module with neither parameters nor modules of its own, such as an Identity, which is passed over."""
    return not node.parameters and not node.children


def _either(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in words)


def _any(patterns: Iterable[str], paths: Iterable[str]) -> bool:
    compiled = [re.compile(pattern, re.DOTALL) for pattern in patterns]
    return any(pattern.fullmatch(path) for path in paths for pattern in compiled)


def _nothing(what: str, found: str, remedy: str) -> TrainerRefuses:
    return TrainerRefuses(
        f"Unsloth stops: no {what} to finetune.",
        expected="a linear layer whose path holds the words of the switches",
        found=found,
        remedy=remedy,
    )
