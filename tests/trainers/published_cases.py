"""Support: what trainers really trained, run by run, and the tiny models that they ran on. No tests here.

``published/*.jsonl.gz`` are outcomes of the trainers' own code; ``patterns.json.gz`` the same for newer versions, as patterns.
"""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.adapters import yaml_text
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers.selection import Selection

FOLDER = Path(__file__).parent / "published"


@cache
def cases(trainer: str) -> tuple[dict[str, Any], ...]:
    """Every run of a trainer."""
    with gzip.open(FOLDER / f"{trainer}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)


@cache
def every_setting(trainer: str) -> tuple[dict[str, Any], ...]:
    """Of a trainer's runs so many that each model and each setting is in one of them, and every fourth."""
    seen: set[str] = set()
    kept = []
    for i, case in enumerate(cases(trainer)):
        names = {f"model {case['config']}", f"setting {case['case']}"}
        if i % 4 == 0 or not names <= seen:
            kept.append(case)
            seen |= names
    return tuple(kept)


@cache
def layer_choices() -> tuple[dict[str, Any], ...]:
    """Which layers unsloth_zoo's own function chose on families beyond the kept runs: model, config, cases."""
    with gzip.open(FOLDER / "unsloth_layers.jsonl.gz", "rt", encoding="utf-8") as lines:
        return tuple(json.loads(line) for line in lines)


@cache
def gemma4() -> dict[str, Any]:
    """What ms-swift and LLaMA-Factory did with drawn flags on a tiny Gemma 4 with towers for pictures and sound."""
    found = json.loads(gzip.decompress((FOLDER / "gemma4.json.gz").read_bytes()))
    assert isinstance(found, dict)
    return found


@cache
def configs() -> dict[str, Any]:
    """Name -> config of a tiny model."""
    found = json.loads((FOLDER / "configs.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


@cache
def patterns() -> dict[str, Any]:
    """The runs of newer versions: configs, cases."""
    found = json.loads(gzip.decompress((FOLDER / "patterns.json.gz").read_bytes()))
    assert isinstance(found, dict)
    return found


@cache
def tree(name: str) -> ModuleTree:
    """The tree of a tiny model by its name in the cases."""
    config = {"model_type": name.partition("--")[0], **configs()[name]}
    return vf.read_tree(config, title=name)


@cache
def pattern_tree(name: str) -> ModuleTree:
    """The same for ``patterns``."""
    return vf.read_tree(patterns()["configs"][name], title=name)


def flags_of(case: dict[str, Any]) -> dict[str, Any]:
    """A run's flags, and what of its surroundings decides: the checkpoint that LLaVA starts from, zero_nlp's transformers."""
    flags = dict(case["flags"])
    if "base_checkpoint" in case:
        flags["unfreeze_mm_vision_tower"] = "unfreeze_mm_vision_tower" in case["base_checkpoint"]
    if case["case"].endswith("_tf5"):
        flags["transformers_version"] = "5.8.0"
    return flags


def full_names(case: dict[str, Any]) -> set[str]:
    """Base parameters that a run trained, as full copies or in place."""
    copies = {f"{module}.{name}" for module, names in case["modules_to_save"].items() for name in names}
    return {*case["trainable"], *copies}


def disagreement(found: Selection, case: dict[str, Any]) -> list[str]:
    """How a simulated selection differs from a run, in sentences; none when they agree."""
    owners = {p.name: p.owner for p in tree(case["config"]).parameters}
    said = []
    full = {owners[name] for name in full_names(case)}
    if full != found.trainable:
        said.append(
            f"full: too many {sorted(found.trainable - full)[:3]}, too few {sorted(full - found.trainable)[:3]}"
        )
    ran = case.get("lora", {})
    targets = set(ran.get("targets", ())) if not ran.get("frozen") else set()
    if targets != set(found.lora):
        said.append(
            f"lora: too many {sorted(set(found.lora) - targets)[:3]}, too few {sorted(targets - set(found.lora))[:3]}"
        )
    for path, lora in found.lora.items():
        alone = ran.get("exceptions", {}).get(path, ran)
        values = tuple(alone[k] for k in ("r", "alpha", "dropout", "use_dora", "use_rslora"))
        if values != (lora.rank, lora.alpha, lora.dropout, lora.use_dora, lora.use_rslora):
            said.append(f"values of {path}: {values}, not {lora}")
            break
    if "optimizer_groups" in case:
        rates = {}
        for group in case["optimizer_groups"]:
            names = (name.replace(".modules_to_save.", ".") for name in group["params"])
            rates.update({owners.get(name, name): group["lr"] for name in names})
        if rates.keys() != found.lr.keys():
            wrong = sorted(rates.keys() ^ found.lr.keys())
            said.append(f"optimizer: {len(wrong)} names in only one of both: {wrong[:4]}")
        decays = {
            owners.get(plain, plain): group["weight_decay"]
            for group in case["optimizer_groups"]
            for name in group["params"]
            for plain in [name.replace(".modules_to_save.", ".")]
        }
        said += [f"decay of {n}: {d}, not {found.decay.get(n)}" for n, d in decays.items() if d != found.decay.get(n)][
            :2
        ]
        said += [
            f"rate of {n}: {lr}, not {found.lr[n]}" for n, lr in rates.items() if abs(lr - found.lr.get(n, lr)) > 1e-12
        ][:2]
    return said


def as_pattern(names: Any) -> set[str]:
    """Names with every index replaced, as the patterns are written."""
    return {re.sub(r"(?<=\.)\d+(?=\.|$)", "{N}", name) for name in names}


def yaml_1_2(text: str) -> Any:
    """Read as YAML 1.2 reads it."""
    return yaml_text.load(text)
