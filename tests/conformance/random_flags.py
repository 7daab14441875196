"""Flags as a person might write them, drawn by chance: what trains with each is asked of the trainer itself and of our rule."""

from __future__ import annotations

import random
import re
from typing import Any

from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers.name_matching import modules, parameter_names

Flags = dict[str, Any]


def of_llamafactory(draw: random.Random, tree: ModuleTree) -> Flags:
    """A YAML of LLaMA-Factory, without data and folders."""
    kind = draw.choice(("full", "freeze", "lora", "lora", "lora"))
    flags: Flags = {"finetuning_type": kind}
    for name in ("freeze_vision_tower", "freeze_multi_modal_projector", "freeze_language_model"):
        if draw.random() < 0.7:
            flags[name] = draw.random() < 0.5
    if kind == "freeze":
        flags["freeze_trainable_layers"] = draw.choice((2, 1, -1, -2, 3, 0))
        _perhaps(draw, flags, 0.4, "freeze_trainable_modules", ",".join(_inner_names(draw, tree)))
        _perhaps(draw, flags, 0.4, "freeze_extra_modules", ",".join(_some(draw, _outer_names(tree), 2)))
        _perhaps(draw, flags, 0.2, "use_llama_pro", value=True)
    elif kind == "lora":
        flags |= _adapters(draw)
        _perhaps(draw, flags, 0.5, "lora_target", ",".join(_targets(draw, tree)))
        _perhaps(draw, flags, 0.4, "additional_target", ",".join(_to_copy(draw, tree)))
        _perhaps(draw, flags, 0.2, "loraplus_lr_ratio", draw.choice((4.0, 16.0)))
        _perhaps(draw, flags, 0.1, "loraplus_lr_embedding", 3e-6)
        _perhaps(draw, flags, 0.1, "resize_vocab", value=True)
    if draw.random() < 0.05:
        flags[draw.choice(("use_dora", "use_rslora", "pissa_init"))] = True
    return flags | _rates(draw)


def of_ms_swift(draw: random.Random, tree: ModuleTree) -> Flags:
    """A YAML of ms-swift, without data and folders."""
    kind = draw.choice(("full", "full", "lora", "lora", "lora", "lora_llm"))
    flags: Flags = {"tuner_type": kind}
    for name in ("freeze_llm", "freeze_vit", "freeze_aligner"):
        if draw.random() < 0.6:
            flags[name] = draw.random() < 0.5
    if kind == "full" or draw.random() < 0.1:
        _perhaps(draw, flags, 0.3, "freeze_parameters", _prefixes(draw, tree))
        _perhaps(draw, flags, 0.3, "trainable_parameters", _prefixes(draw, tree))
        _perhaps(draw, flags, 0.3, "freeze_parameters_ratio", draw.choice((0.1, 0.33, 0.5, 0.9, 1.0)))
        _perhaps(draw, flags, 0.2, "freeze_parameters_regex", _pattern(draw, tree))
        _perhaps(draw, flags, 0.2, "trainable_parameters_regex", _pattern(draw, tree))
    if kind != "full":
        flags |= _adapters(draw)
        _perhaps(draw, flags, 0.15, "target_regex", rf".*{_pattern(draw, tree)}.*")
        words = draw.choice((["all-linear"], ["all-embedding"], ["all-linear", "all-embedding"], _targets(draw, tree)))
        _perhaps(draw, flags, 0.5, "target_modules", words)
        saved = draw.choice((["all-norm"], ["all-embedding"], _to_copy(draw, tree)))
        _perhaps(draw, flags, 0.3, "modules_to_save", saved)
        _perhaps(draw, flags, 0.15, "lora_bias", draw.choice(("all", "none")))
        _perhaps(draw, flags, 0.1, "lorap_lr_ratio", 8.0)
        _perhaps(draw, flags, 0.1, "target_parameters", _stacks(draw, tree))
    _perhaps(draw, flags, 0.25, "vit_lr", 2e-6)
    _perhaps(draw, flags, 0.25, "aligner_lr", 3e-5)
    return flags | _rates(draw)


def of_peft(draw: random.Random, tree: ModuleTree) -> Flags:
    """Arguments of PEFT's LoraConfig."""
    targets: Any = draw.choice(("all-linear", _targets(draw, tree), rf".*{_pattern(draw, tree)}.*"))
    flags: Flags = {"r": draw.choice((4, 8)), "lora_alpha": draw.choice((8, 32))}
    _perhaps(draw, flags, 0.9, "target_modules", targets)
    _perhaps(draw, flags, 0.3, "lora_dropout", 0.05)
    _perhaps(draw, flags, 0.3, "modules_to_save", _to_copy(draw, tree))
    _perhaps(draw, flags, 0.2, "exclude_modules", draw.choice((_targets(draw, tree), rf".*{_pattern(draw, tree)}.*")))
    _perhaps(draw, flags, 0.15, "bias", draw.choice(("all", "lora_only")))
    _perhaps(draw, flags, 0.1, draw.choice(("use_dora", "use_rslora")), value=True)
    if isinstance(targets, list) and draw.random() < 0.3:
        flags["layers_to_transform"] = draw.choice(([0], [1], 1, [0, 1]))
        _perhaps(draw, flags, 0.5, "layers_pattern", draw.choice(("layers", "blocks", ["layers", "blocks"])))
    name = draw.choice(_leaves(tree))
    _perhaps(draw, flags, 0.15, "rank_pattern", {name: 2, rf".*\.1\..*{name}": 3})
    _perhaps(draw, flags, 0.1, "alpha_pattern", {name: 5})
    _perhaps(draw, flags, 0.1, "target_parameters", _stacks(draw, tree))
    return flags


def _perhaps(draw: random.Random, flags: Flags, chance: float, name: str, value: Any) -> None:
    if draw.random() < chance and value not in ("", []):
        flags[name] = value


def _adapters(draw: random.Random) -> Flags:
    flags: Flags = {}
    _perhaps(draw, flags, 0.5, "lora_rank", draw.choice((4, 16)))
    _perhaps(draw, flags, 0.5, "lora_alpha", draw.choice((8, 64)))
    _perhaps(draw, flags, 0.3, "lora_dropout", draw.choice((0.0, 0.1)))
    _perhaps(draw, flags, 0.2, draw.choice(("use_dora", "use_rslora")), value=True)
    return flags


def _rates(draw: random.Random) -> Flags:
    return {"learning_rate": draw.choice((1e-4, 2e-5)), "weight_decay": draw.choice((0.0, 0.1))}


def _some(draw: random.Random, names: list[str], most: int) -> list[str]:
    return draw.sample(names, min(len(names), draw.randint(1, most))) if names else []


def _leaves(tree: ModuleTree) -> list[str]:
    return sorted({node.name for node in modules(tree) if node.adaptable == "linear"})


def _targets(draw: random.Random, tree: ModuleTree) -> list[str]:
    """Last names of layers, now and then a whole path, and rarely a name that only a container or nothing has."""
    chance = draw.random()
    layers = [node for node in modules(tree) if node.adaptable]
    if chance < 0.6:
        return _some(draw, _leaves(tree), 3)
    if chance < 0.8:
        return _some(draw, [node.path for node in layers], 3)
    if chance < 0.95:
        return _some(draw, sorted({".".join(node.path.split(".")[-2:]) for node in layers}), 3)
    return _some(draw, sorted({node.name for node in modules(tree)}), 2)


def _to_copy(draw: random.Random, tree: ModuleTree) -> list[str]:
    """Parts by their last names, as people write them: projectors, heads, embeddings, single blocks, norms."""
    parts = [path for paths in tree.components.values() for path in paths if path in tree.by_path]
    names = [path.rpartition(".")[2] for path in parts]
    blocks = [child.path for name in tree.components if (list_of := tree.blocks(name)) for child in list_of.children]
    names += [".".join(path.split(".")[-2:]) for path in blocks]
    return _some(draw, sorted({name for name in names if not name.isdigit()}), 2)


def _inner_names(draw: random.Random, tree: ModuleTree) -> list[str]:
    inside = {
        re.split(r"\.[01]\.", name)[-1].split(".")[0] for name in parameter_names(tree) if re.search(r"\.[01]\.", name)
    }
    return _some(draw, sorted(inside), 2)


def _outer_names(tree: ModuleTree) -> list[str]:
    return sorted({n.split(".")[-2] for n in parameter_names(tree) if not re.search(r"\.\d+\.", n) and "." in n})


def _prefixes(draw: random.Random, tree: ModuleTree) -> list[str]:
    found = []
    for name in _some(draw, parameter_names(tree), 3):
        parts = name.split(".")
        found.append(".".join(parts[: draw.randint(1, len(parts))]))
    return found


def _pattern(draw: random.Random, tree: ModuleTree) -> str:
    name = draw.choice(_leaves(tree))
    return draw.choice(
        (name, rf"layers\.\d+.*{name}", rf"\.1\.\S*{name}", rf"(language|text)\S*{name}", r"\.(norm|merger)\.")
    )


def _stacks(draw: random.Random, tree: ModuleTree) -> list[str]:
    return _some(draw, sorted({".".join(n.path.split(".")[-2:]) for n in tree.nodes if n.adaptable == "experts"}), 2)


DRAWN = {"llamafactory": of_llamafactory, "ms-swift": of_ms_swift, "peft": of_peft}
