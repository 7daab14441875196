"""A plan as arguments of Unsloth's ``get_peft_model``, and what of them surprises people. What they select is in ``unsloth``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from keyword import iskeyword
from typing import Any
from unicodedata import normalize

from ..core.errors import BadConfig, NotExpressible
from ..core.shorten import shorten
from ..core.tree.tree import ModuleTree
from .export_request import ExportRequest, switches
from .flags import read_flags
from .loraplus import ratio_flags
from .selection import Selection
from .unsloth import FLAGS, NAME

_SWITCHES = (
    "finetune_vision_layers",
    "finetune_language_layers",
    "finetune_attention_modules",
    "finetune_mlp_modules",
)
_DEFAULTS = dict.fromkeys(_SWITCHES, True)
_NO_PART_OF_IT = ("learning_rate", "weight_decay", "loraplus_lr_ratio")


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """Arguments that might do what a plan asks, the plainest first.

    Raises:
        NotExpressible: The plan has no LoRA, and the call always adds some.
    """
    lora = wanted.lora
    if lora is None:
        raise NotExpressible(
            "Unsloth's get_peft_model cannot say this strategy.",
            expected="LoRA on at least one module",
            found="a strategy without LoRA",
            remedy="Export it for another trainer; to='trainer' writes a script for any strategy.",
        )
    values: dict[str, Any] = {"r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": float(lora.dropout)}
    values |= {name: True for name in ("use_rslora", "use_dora") if getattr(lora, name)}
    saved = {"modules_to_save": wanted.whole_suffixes} if wanted.whole_suffixes else {}
    rates = {"learning_rate": wanted.lr, "weight_decay": wanted.weight_decay}
    rates |= ratio_flags(wanted.selection.lora, wanted.tree)
    for setting in switches(*_SWITCHES, defaults=_DEFAULTS):
        yield {**values, **setting, **saved, **rates}
    yield {**values, "target_modules": list(wanted.leaf_names), **saved, **rates}
    # Whole paths as names reach nothing else; an anchored pattern would be searched for words like any text.
    yield {**values, "target_modules": list(wanted.every_name(wanted.adapted_layers)), **saved, **rates}


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """The call as Python; every value is written as a literal."""
    folder = wanted.tree.loads_as
    arguments = {name: value for name, value in settings.items() if name not in _NO_PART_OF_IT} | dict(others)
    for name in arguments:
        # Python reads a name in its NFKC form: another spelling would be another argument.
        if not name.isidentifier() or iskeyword(name) or normalize("NFKC", name) != name:
            raise BadConfig(
                "Unsloth's call has no such argument.",
                expected="a Python name",
                found=shorten(repr(name), 60),
                remedy="Leave it out, or write it as the argument is called.",
            )
    ratio = settings.get("loraplus_lr_ratio")
    lines = [
        "from unsloth import FastVisionModel",
        "",
        f"model, processor = FastVisionModel.from_pretrained({folder!r})",
        "model = FastVisionModel.get_peft_model(",
        "    model,",
        *(f"    {name}={value!r}," for name, value in arguments.items()),
        ")",
        f"learning_rate = {settings['learning_rate']!r}",
        *([f"loraplus_lr_ratio = {ratio!r}  # of UnslothTrainingArguments"] if ratio is not None else []),
    ]
    return {"unsloth_model.py": "\n".join(lines) + "\n"}


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What of these arguments is other than it looks."""
    flags = read_flags(given, FLAGS, NAME)
    notes = []
    parts = {"vision_tower": "finetune_vision_layers", "language_model": "finetune_language_layers"}
    for component, switch in parts.items():
        stray = [path for path in found.lora if tree.component_of(path) == component]
        if stray and not flags[switch]:
            notes.append(
                f"{switch} is off, and still {len(stray)} adapters lie in the {component.replace('_', ' ')} ({stray[0]}): "
                "it selects by words in names."
            )
    if flags["finetune_last_n_layers"] is not None:
        notes.append(
            "finetune_last_n_layers counts by index alone: blocks of the tower with the same index are meant too."
        )
    if found.copied:
        notes.append("Embeddings, head and modules_to_save train as full copies beside the frozen originals.")
    if flags["loraplus_lr_ratio"] is not None and flags["use_dora"]:
        notes.append("Not kept: DoRA's magnitudes learn at lora_A's rate there, and at lora_B's here.")
    notes.append(f"The call holds no learning rate: {flags['learning_rate']:g} belongs into the trainer's settings.")
    return notes
