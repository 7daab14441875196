"""Hugging Face's Trainer: a script that trains any plan, and the plan beside it as ``plan.json``. No word of the model's is in the
script; it selects by dotted places, which is what ``simulate`` follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import BadConfig
from ..core.shorten import shorten
from ..core.strategy.tuning import Lora
from ..core.tree.components import is_below, owner_of
from ..core.tree.tree import ModuleTree
from . import peft_config
from .export_request import ExportRequest
from .flags import Flag, read_flags
from .peft_export import anchored, spared_from_conversion
from .script_files import accelerate_files, data_files
from .selection import Selection

TAKES_DATA = True
NAME = "HF Trainer"
TRL = "TRL"
SCRIPT = "hf_trainer_script.txt"
RUN = (
    "data", "image_root", "format", "max_length", "rows", "accumulation", "steps", "epochs", "scheduler", "warmup",
    "max_grad_norm", "seed", "betas", "eps", "optimizer", "momentum", "bf16", "fp16", "float32", "checkpointing", "processes",
)  # fmt: skip
"""Settings of a run that the script has arguments for; their values here are the defaults of those."""
FLAGS: Mapping[str, Flag] = {
    "full": Flag("names", []),
    "lora": Flag("mapping", {}),
    "rates": Flag("mapping", {}),
    "learning_rate": Flag("float", 5e-5),
    "weight_decay": Flag("float", 0.0),
    "renamed": Flag("mapping", {}),
}


def simulate(given: Mapping[str, Any], tree: ModuleTree) -> Selection:
    """What the script trains with a ``plan.json``.

    Args:
        given: "full": places trained in full; "lora": fields of a LoraConfig; "rates": place -> [learning rate, weight decay], and
            the ratio of lora_B's rate as a third where it has its own (LoRA+); the nearest above a name counts; "renamed":
            path -> what it is called in another release of transformers.
        tree: The model.

    Raises:
        BadConfig: A rate is missing, or a field is not of the script's.
        TrainerRefuses: PEFT stops at the LoraConfig.
    """
    flags = read_flags(given, FLAGS, NAME)
    renamed = {str(here): str(there) for here, there in flags["renamed"].items()}
    places = dict.fromkeys((_as_called(place, renamed, tree) for place in flags["full"]), "full")
    full = frozenset(p.owner for p in tree.parameters if owner_of(p.name, places) == "full")
    adapters: Mapping[str, Lora] = {}
    if flags["lora"]:
        adapters = peft_config.simulate({**flags["lora"], "learning_rate": 0.0}, tree).lora
    found = Selection(full, adapters)
    rates = {_as_called(place, renamed, tree): rate for place, rate in flags["rates"].items()}
    keys = {place: place for place in rates}
    lr, decay = {}, {}
    for name in found.names:
        path = name.rpartition(".")[0] if name.endswith((".lora_A", ".lora_B")) else name
        place = owner_of(path, keys)
        if place is None:
            raise BadConfig(
                "plan.json has no rate for a parameter that trains.",
                expected=f"a place above {path}",
                found=", ".join(list(keys)[:4]) or "no rates",
                remedy='Add the place, or "" for everything.',
            )
        lr[name], decay[name] = _rate(rates[place], name.endswith(".lora_B"))
    return Selection(full, adapters, lr, decay=decay)


def _as_called(place: str, renamed: Mapping[str, str], tree: ModuleTree) -> str:
    """A place under the name that this tree has for it."""
    if not place or place in tree.by_path or place in tree.by_name:
        return place
    for here, there in (*renamed.items(), *((there, here) for here, there in renamed.items())):
        if is_below(place, here):
            return there + place[len(here) :]
    return place


def _rate(held: Any, is_b: bool) -> tuple[float, float]:
    if isinstance(held, list | tuple) and len(held) in (2, 3) and all(isinstance(v, int | float) for v in held):
        factor = float(held[2]) if is_b and len(held) > 2 else 1.0
        return float(held[0]) * factor, float(held[1])
    raise BadConfig(
        "plan.json has a rate that cannot be read.",
        expected="[learning rate, weight decay], or with LoRA+ [learning rate, weight decay, ratio]",
        found=shorten(repr(held), 60),
        remedy="Write, for example, [1e-4, 0.0].",
    )


def candidates(wanted: ExportRequest) -> Iterator[dict[str, Any]]:
    """The ``plan.json`` of a plan, and a second form where PEFT rewrites the targets of the first."""
    lora = wanted.lora
    config: dict[str, Any] = {}
    if lora is not None:
        adapters = wanted.selection.lora
        config = {"r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": float(lora.dropout), "bias": "none"}
        config |= {"use_dora": lora.use_dora, "use_rslora": lora.use_rslora}
        config |= (
            {"target_modules": anchored(wanted.every_name(wanted.adapted_layers))} if wanted.adapted_layers else {}
        )
        config |= {"target_parameters": list(wanted.every_name(wanted.adapted_stacks))} if wanted.adapted_stacks else {}
        ranks = {anchored(wanted.every_name([p])): a.rank for p, a in adapters.items() if a.rank != lora.rank}
        alphas = {anchored(wanted.every_name([p])): a.alpha for p, a in adapters.items() if a.alpha != lora.alpha}
        config |= {"rank_pattern": {f"^({p})": v for p, v in ranks.items()}} if ranks else {}
        config |= {"alpha_pattern": {f"^({p})": v for p, v in alphas.items()}} if alphas else {}
    spared = spared_from_conversion(wanted) if lora is not None else ()
    for lora_config in (config, *({**config, **targets} for targets in spared)):
        yield {
            "full": [*wanted.whole_modules, *wanted.loose_parameters],
            "lora": {name: value for name, value in lora_config.items() if value is not None},
            "rates": _rates(wanted),
            "learning_rate": wanted.lr,
            "weight_decay": wanted.weight_decay,
            "renamed": {here: there for names in wanted.others for here, there in names.moves},
        }


def _rates(wanted: ExportRequest) -> dict[str, list[float]]:
    """Place -> [rate, decay], and the ratio of LoRA+ behind: one for all, then components that differ, then single names."""
    rates: dict[str, list[float]] = {"": [wanted.lr, wanted.weight_decay]}
    held: dict[str, dict[str, tuple[float, ...]]] = {}
    for group in wanted.plan.optimizer_groups:
        of = held.setdefault(group.component, {})
        for name in group.params:
            path = _path(name)
            ratio = None if path == name else wanted.selection.lora[path].loraplus_lr_ratio
            if ratio is None or not name.endswith(".lora_B"):
                of[path] = (group.lr, group.weight_decay, *([] if ratio is None else [ratio]))
    for component, of in held.items():
        paths, alike = wanted.tree.components.get(component, ()), set(of.values())
        own = dict.fromkeys(paths, next(iter(alike))) if len(alike) == 1 and paths else of
        rates.update({place: list(values) for place, values in own.items()})
    return rates


def _path(name: str) -> str:
    return name.removesuffix(".lora_A").removesuffix(".lora_B")


def files(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """``plan.json``, ``train.py``, the data path of the burst, and accelerate's configs.

    Of the user's own settings those in ``RUN`` become defaults of the script's arguments, the rest go to
    ``TrainingArguments``.
    """
    return _files(settings, wanted, others, "transformers")


def files_for_trl(settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any]) -> dict[str, str]:
    """The same for TRL's SFTTrainer."""
    return _files(settings, wanted, others, "trl")


def _files(
    settings: Mapping[str, Any], wanted: ExportRequest, others: Mapping[str, Any], trainer: str
) -> dict[str, str]:
    folder = wanted.tree.loads_as
    decisive = {name: settings[name] for name in ("full", "lora", "rates", "renamed") if name in settings}
    run = {name: others[name] for name in RUN if others.get(name) is not None}
    rest = {name: value for name, value in others.items() if name not in RUN}
    plan = {"trainer": trainer, "model": folder, **decisive, "run": run, "arguments": rest}
    script = (Path(__file__).parent / SCRIPT).read_text(encoding="utf-8")
    return {"plan.json": json.dumps(plan, indent=2) + "\n", "train.py": script, **accelerate_files(), **data_files()}


def quirks(given: Mapping[str, Any], tree: ModuleTree, found: Selection) -> list[str]:
    """What the script leaves to the user."""
    notes = []
    if not tree.source and tree.checkpoint is None and not given.get("model"):
        notes.append("The model's folder or Hub id is not known here: pass it as --model.")
    if any(tree.component_of(name) == "vision_tower" for name in found.names):
        notes.append(
            "With DeepSpeed ZeRO a step whose rows have pictures on some GPUs only can hang while the vision tower trains "
            "(DeepSpeed#7170, ms-swift#9104): use DDP or FSDP2, or give every row a picture."
        )
    half = tree.dtype in ("float16", "bfloat16")
    if half and found.trainable:
        notes.append(
            f"The script trains in the dtype that is loaded; small rates do not move {tree.dtype}: pass --float32."
        )
    return notes
