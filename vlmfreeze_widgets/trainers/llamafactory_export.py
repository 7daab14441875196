"""A plan as LLaMA-Factory's YAML, and what of its settings surprises people. What the settings select is in ``llamafactory``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..core.tree.tree import ModuleTree
from .dataset_files import for_llamafactory
from .export_request import ExportRequest, switches
from .flags import read_flags
from .llamafactory import FLAGS, NAME, keys_of
from .loraplus import embedding_rates, ratio_flags
from .name_matching import contains_any, modules
from .selection import Selection
from .yaml_lines import yaml_lines

TAKES_DATA = True
_SWITCHES = ("freeze_vision_tower", "freeze_multi_modal_projector", "freeze_language_model")
_DEFAULTS = {name: FLAGS[name].default for name in _SWITCHES}
FILE = "llamafactory.yaml"


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Settings that might do what a plan asks, the plainest first."""
    rates = {"learning_rate": wanted.lr, "weight_decay": wanted.weight_decay}
    if wanted.lora is not None:
        yield from _with_lora(wanted, rates)
        return
    for setting in switches(*_SWITCHES, defaults=_DEFAULTS):
        yield {"finetuning_type": "full", **setting, **rates}
    yield from _freezing(wanted, rates)


def _with_lora(wanted: ExportRequest, rates: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    lora = wanted.lora
    assert lora is not None
    values: dict[str, Any] = {"finetuning_type": "lora", "lora_rank": lora.rank, "lora_alpha": round(lora.alpha)}
    values |= {"lora_dropout": float(lora.dropout)} if lora.dropout else {}
    values |= {name: True for name in ("use_dora", "use_rslora") if getattr(lora, name)}
    ratio = ratio_flags(wanted.selection.lora, wanted.tree)
    embedding = embedding_rates(wanted.selection, wanted.tree) if ratio else set()
    rates = {**rates, **ratio, **({"loraplus_lr_embedding": max(embedding)} if embedding else {})}
    saved = wanted.whole_suffixes
    layers = list(wanted.every_name(wanted.adapted_layers))
    places = [["all"], list(wanted.leaf_names), layers]
    for targets in places:
        for setting in switches(*_SWITCHES, defaults=_DEFAULTS):
            found = {**values, "lora_target": ",".join(targets), **setting}
            yield {**found, **({"additional_target": ",".join(saved)} if saved else {}), **rates}
            if targets is places[-1]:
                break
    # Whole paths need every switch off: what a switch forbids, no target brings back.
    found = {**values, "lora_target": ",".join(layers), **dict.fromkeys(_SWITCHES, False)}
    for names in (saved, list(wanted.every_name(wanted.whole_modules))):
        yield {**found, **({"additional_target": ",".join(names)} if names else {}), **rates}


def _freezing(wanted: ExportRequest, rates: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """Freeze-tuning: the first or last layers of the language model, and modules outside all layers by last name."""
    tree = wanted.tree
    blocks = tree.blocks("language_model")
    trained = wanted.selection.trainable
    layers = blocks.children if blocks else ()
    open_layers = [i for i, layer in enumerate(layers) if any(p.owner in trained for p in tree.below(layer.path))]
    if not open_layers:
        return
    last = open_layers[0] > 0 or len(open_layers) == len(layers)
    number = len(layers) - open_layers[0] if last else -(open_layers[-1] + 1)
    outside = {name for name in trained if not any(part.isdigit() for part in name.split(".")) and "." in name}
    keys = keys_of(tree)
    extra = sorted({n.split(".")[-2] for n in outside if not (keys and contains_any(n, keys.projector_keys))})
    inside = {
        p.name.removeprefix(f"{layers[i].path}.").split(".", 1)[0]
        for i in open_layers
        for p in tree.below(layers[i].path)
        if p.owner in trained
    }
    for chosen in (["all"], sorted(inside)):
        for setting in switches(*_SWITCHES, defaults=_DEFAULTS):
            found = {"finetuning_type": "freeze", "freeze_trainable_layers": number}
            found |= {} if chosen == ["all"] else {"freeze_trainable_modules": ",".join(chosen)}
            found |= {"freeze_extra_modules": ",".join(extra)} if extra else {}
            yield {**found, **setting, **rates}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """The YAML for ``llamafactory-cli train``.

    Args:
        settings: One of the candidates.
        wanted: The plan.
        others: Settings of the user's own, such as output_dir; they come last. ``data`` and ``image_root`` become
            ``dataset_info.json``.
    """
    folder = wanted.tree.loads_as
    others, files = for_llamafactory(others)
    head = {"model_name_or_path": folder, "stage": "sft", "do_train": True}
    missing = [name for name in ("dataset", "template", "output_dir") if name not in others]
    comments = [f"llamafactory-cli train {FILE}", *([f"Still to add: {', '.join(missing)}."] if missing else [])]
    return {FILE: yaml_lines({**head, **settings, **others}, comments), **files}


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these settings is other than it looks, with the thread that reports it."""
    flags = read_flags(given, FLAGS, NAME)
    keys = keys_of(tree)
    notes: list[str] = []
    if keys is None:
        notes.append(
            f"{NAME} has no row for model type {tree.model_type or '(unknown)'!r}: its three freeze switches do nothing here "
            "(LlamaFactory#9013, PR#9399)."
        )
    elif flags["finetuning_type"] == "lora":
        projector = [n.path for n in modules(tree) if contains_any(n.path, keys.projector_keys)]
        adapted = [path for path in projector if path in found.lora]
        if given.get("freeze_multi_modal_projector") is False and not adapted:
            notes.append(
                "freeze_multi_modal_projector: false does nothing here: 'all' never reaches the projector, and LoRA never "
                "unfreezes it; additional_target trains it (LlamaFactory#6789, #8334)."
            )
        if adapted and flags["lora_target"] == ["all"]:
            notes.append(f"'all' reaches {adapted[0]} in the projector: a layer elsewhere has the same last name.")
    elif flags["finetuning_type"] == "freeze" and not flags["freeze_vision_tower"]:
        notes.append("Freeze-tuning counts layers by index alone: vision blocks of the same index train too.")
    if flags["pissa_init"]:
        notes.append("PiSSA changes how adapters start, and the frozen weights with them; what trains is the same.")
    if flags["loraplus_lr_ratio"] is not None:
        notes.append(
            "LoRA+ gives lora_B, and every one-dimensional tensor beside it, the ratio's multiple of the rate."
        )
    if found.copied:
        notes.append(
            "additional_target trains full copies beside the frozen originals: these modules need double memory."
        )
    return notes
