"""A plan as arguments for LLaVA's train.py, and what of them surprises people. What they select is in ``llava``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from ..core.language.format import rate
from ..core.recipes.published import published
from ..core.recipes.stage import Stage
from ..core.tree.tree import ModuleTree
from .argument_lines import argument_lines
from .dataset_files import for_llava
from .export_request import ExportRequest
from .flags import read_flags
from .llava import FLAGS, NAME
from .selection import Selection

TAKES_DATA = True


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Arguments of LLaVA that might do what a plan asks, the plainest first."""
    projector = [n for n in wanted.selection.lr if wanted.tree.component_of(n) == "projector"]
    own = wanted.rate_of(projector)
    usual = wanted.rate_of(set(wanted.selection.lr) - set(projector))
    usual = wanted.lr if usual is None else usual
    rates: dict[str, Any] = {"learning_rate": usual, "weight_decay": wanted.weight_decay}
    rates |= {"mm_projector_lr": own} if own is not None and own != usual else {}
    switched = ("tune_mm_mlp_adapter", "freeze_mm_mlp_adapter", "freeze_backbone")
    for values in sorted(product((False, True), repeat=3), key=sum):
        setting = {name: True for name, value in zip(switched, values, strict=True) if value}
        if wanted.lora is None:
            yield {**setting, **rates}
        else:
            lora = wanted.lora
            adapters = {"lora_r": lora.rank, "lora_alpha": round(lora.alpha), "lora_dropout": float(lora.dropout)}
            yield {"lora_enable": True, **adapters, **setting, **rates}


_SHARED: Mapping[str, Any] = {
    "mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2, "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False, "bf16": True, "tf32": True, "gradient_checkpointing": True, "lazy_preprocess": True,
}  # fmt: skip
# Of scripts/v1_5 beside what the table of recipes says: the file of DeepSpeed, and how prompts and pictures are made.
_OF_STAGE: Mapping[str, Mapping[str, Any]] = {
    "pretrain": {"deepspeed": "./scripts/zero2.json", "version": "plain"},
    "finetune": {
        "deepspeed": "./scripts/zero3.json", "version": "v1", "image_aspect_ratio": "pad", "group_by_modality_length": True,
    },
}  # fmt: skip


def published_stage(settings: Mapping[str, Any]) -> Stage:
    """The stage of LLaVA-1.5 that these arguments are nearest to, with its published hyper-parameters."""
    name = "pretrain" if settings.get("tune_mm_mlp_adapter") else "lora" if settings.get("lora_enable") else "finetune"
    stage: Stage = published("llava-1.5/" + name)[0]
    return stage


def hyper_parameters(stage: Stage) -> dict[str, Any]:
    """A published stage in LLaVA's arguments; what trains and its rates are not among them."""
    values: dict[str, Any] = {
        "num_train_epochs": stage.epochs,
        "per_device_train_batch_size": stage.per_device,
        "gradient_accumulation_steps": 1,
        "lr_scheduler_type": stage.schedule,
        "warmup_ratio": stage.warmup,
        "model_max_length": stage.length,
    }
    return {**_OF_STAGE["pretrain" if stage.name == "pretrain" else "finetune"], **_SHARED, **values}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """An argument file: one argument a line, as its scripts pass them; hyper-parameters are those of the published stage."""
    recipe = hyper_parameters(published_stage(settings))
    rest = {name: value for name, value in recipe.items() if name not in settings}
    return argument_lines("llava.args", "train_mem.py", settings, wanted, {**rest, **for_llava(others)})


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks, with the thread that reports it."""
    flags = read_flags(given, FLAGS, NAME)
    stage = published_stage(flags)
    notes = _beside_the_recipe(stage, flags)
    in_tower = [path for path in found.lora if tree.component_of(path) == "vision_tower"]
    if in_tower:
        notes.append(
            f"{len(in_tower)} adapters lie in the vision tower and never get a gradient: its forward is under no_grad "
            "(LLaVA#1380, #1647)."
        )
    if flags["mm_projector_lr"] is None and flags["lora_enable"] and not flags["freeze_mm_mlp_adapter"]:
        notes.append("Without mm_projector_lr the projector trains all the same, at learning_rate (LLaVA#832, #948).")
    if flags["tune_mm_mlp_adapter"] and flags["lora_enable"]:
        notes.append("tune_mm_mlp_adapter switches the adapters off again: only the projector trains.")
    if flags["tune_mm_mlp_adapter"] and flags["freeze_mm_mlp_adapter"]:
        notes.append("tune_mm_mlp_adapter and freeze_mm_mlp_adapter together: nothing trains.")
    if flags["freeze_backbone"] and not flags["tune_mm_mlp_adapter"] and not flags["lora_enable"]:
        notes.append(
            "freeze_backbone leaves the head training; its author calls it a switch for debugging (LLaVA#723)."
        )
    if flags["lora_enable"] and found.trainable:
        notes.append(
            "Checkpoints before the end hold the adapter alone, without the projector (LLaVA#844, #1200, #1566)."
        )
    return notes


def _beside_the_recipe(stage: Stage, flags: Mapping[str, Any]) -> list[str]:
    """Where rates or decay are other than published, and what the recipe's batch takes."""
    devices = (stage.batch or 0) // (stage.per_device or 1)
    notes = [
        f"LLaVA-1.5's {stage.name} ({stage.source}) takes {stage.per_device} rows on each of {devices} GPUs, {stage.batch} per "
        f"step; {stage.epochs:g} epoch, {stage.schedule}, warm-up {stage.warmup:g}."
    ]
    lr = stage.strategy.lr.get("language_model", stage.strategy.lr.get(""))
    if lr is not None and flags["learning_rate"] != lr:
        notes.append(f"Its learning rate is {rate(lr)}; here it is {rate(flags['learning_rate'])}.")
    if stage.name == "pretrain":
        notes.append("It saves mm_projector.bin and nothing else.")
    return notes
