"""Published recipes, each stage with the script that it was read from: the reader of ``published.json``, and how a recipe meets a
model. No number is written from memory; what a source does not say is left open.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from ..arguments import NAME, checked, maybe
from ..errors import InvalidStrategy, UnknownTarget, nearest
from ..strategy.accepted import TREE
from ..strategy.strategy import Strategy
from ..strategy.tuning import FULL, Lora, Tuning
from ..tree.block_slices import blocks_of
from ..tree.components import LABELS
from ..tree.selectors import find_target
from ..tree.tree import ModuleTree
from .stage import Stage
from .stages import Stages

_LLM = ("language_model", "embeddings", "head")
_PARTS = ("vision_tower", "projector", *_LLM)
_ATTENTION = "language_model[:].self_attn"
_NORMS = "re:.*norm.*"
_NAMES = re.compile(r"[:/]")


@dataclass(frozen=True)
class Recipe:
    """A published way of training, in one or several stages.

    Attributes:
        name: Such as "llava-1.5".
        label: For menus.
        stages: All its stages in order, alternatives beside what they stand for.
        instead_of: Name of a stage -> the stage in whose place it may run.
        paper: "arXiv:...", "" where there is none.
        repository: Whose scripts the stages name.
    """

    name: str
    label: str
    stages: tuple[Stage, ...]
    instead_of: Mapping[str, str]
    paper: str
    repository: str

    @property
    def source(self) -> str:
        """Repository and paper."""
        return ", ".join(filter(None, (self.repository, self.paper)))

    @property
    def main(self) -> tuple[Stage, ...]:
        """The stages that run one after another, without the alternatives."""
        return tuple(stage for stage in self.stages if stage.name not in self.instead_of)

    def parts(self) -> frozenset[str]:
        """The components that some stage trains, embeddings and head not counted: a tower may be tied or shared there."""
        wanted = {t.partition("[")[0] for s in self.stages for t, v in s.strategy.rules.items() if v.kind != "frozen"}
        return frozenset(wanted & {"vision_tower", "projector", "language_model"})

    def fits(self, tree: ModuleTree) -> bool:
        """Whether a model has all that it trains, and pictures go in."""
        return self.parts() | {"vision_tower"} <= set(tree.components)


RECIPE_NAME = replace(
    NAME,
    expected="the name of a published recipe, such as 'llava-1.5'",
    remedy="Write the name first and the tree after it: vf.published('llava-1.5', tree); vf.presets() lists all.",
    error=UnknownTarget,
)


@cache
def recipes() -> Mapping[str, Recipe]:
    """All recipes by name."""
    table = json.loads(files(__package__).joinpath("published.json").read_text(encoding="utf-8"))
    return {name: _recipe(name, data) for name, data in table.items()}


def find_stage(name: str) -> tuple[Recipe, Stage | None]:
    """A recipe, and the stage that "recipe/stage" (or "recipe:stage") names.

    Raises:
        UnknownTarget: No such recipe or stage; the message gives the nearest.
    """
    found, _, stage = _NAMES.sub("/", name).partition("/")
    known = recipes()
    if found not in known:
        # A single wrong letter is as likely before the slash as behind it.
        close = nearest(found, known) or nearest(name, [f"{r.name}/{s.name}" for r in known.values() for s in r.stages])
        raise UnknownTarget(
            f"There is no preset {name!r}.",
            expected=", ".join(known),
            found=repr(name),
            remedy=f"Did you mean {close[0]!r}?" if close else "vf.presets() lists all.",
        )
    if not stage:
        return known[found], None
    return known[found], Stages(found, known[found].stages)[stage]


@checked(name=RECIPE_NAME, tree=TREE, instead=maybe(NAME))
def published(name: str, tree: ModuleTree | None = None, *, instead: str | None = None) -> Stages:
    """A published recipe as stages.

    Args:
        name: "llava-1.5" for all its stages, "llava-1.5/lora" for one of them.
        tree: The model that it is for: rules for parts that it does not have are left out, and a note says so. Without it
            the rules name components only.
        instead: An alternative to run in the place of the stage that it stands for, such as "lora".

    Returns:
        The stages, with the published rates, batches and schedules; nothing is scaled to another batch.

    Raises:
        UnknownTarget: No such recipe, stage or alternative; the message gives the nearest.
    """
    recipe, one = find_stage(name)
    chosen = recipe.main if one is None else (one,)
    if instead is not None:
        other = Stages(recipe.name, recipe.stages)[instead]
        place = recipe.instead_of.get(instead, instead)
        chosen = tuple(other if stage.name == place else stage for stage in chosen)
    bound = chosen if tree is None else tuple(bind(stage, tree) for stage in chosen)
    return Stages(recipe.name, bound, recipe.source)


def bind(stage: Stage, tree: ModuleTree) -> Stage:
    """A published stage on a model's own parts; notes say which of its parts are missing."""
    rules: dict[str, Tuning] = {}
    missing: list[str] = []
    for target, tuning in stage.strategy.rules.items():
        place = _bound(target, tree)
        if place is not None:
            rules[place] = tuning
        elif tuning.kind != "frozen":
            missing.append(target)
    named = {t: _bound(t, tree) for t in (*stage.strategy.lr, *stage.strategy.weight_decay) if t}
    there = {t: place for t, place in named.items() if place is not None} | {"": ""}
    strategy = Strategy(
        rules,
        {there[t]: lr for t, lr in stage.strategy.lr.items() if t in there},
        {there[t]: v for t, v in stage.strategy.weight_decay.items() if t in there},
        stage.strategy.name,
    )
    notes = [f"This model has no {_called(target)}; that part of the recipe is left out." for target in missing]
    if not any(tuning.kind != "frozen" for tuning in rules.values()):
        notes.append("Nothing of this stage trains on this model.")
    return replace(stage, strategy=strategy, notes=(*stage.notes, *notes))


def _bound(target: str, tree: ModuleTree) -> str | None:
    if target in _PARTS:
        return target if target in tree.components else None
    try:
        find_target(target, tree)
    except UnknownTarget:
        return _attention(tree) if target == _ATTENTION else None
    except InvalidStrategy:  # a component without repeated blocks
        return None
    return target


def _attention(tree: ModuleTree) -> str | None:
    """Where attention lies in the language model's blocks, whatever it is called there."""
    holder = tree.blocks("language_model")
    names = {
        c.name for block in (blocks_of(holder) if holder else ()) for c in block.children if "att" in c.name.lower()
    }
    found = sorted(n for n in names if "norm" not in n.lower())
    if holder is None or not found:
        return None
    # Not every block has each of them: cross-attention stands in some only.
    return rf"re:{re.escape(holder.path)}\.\d+\.({'|'.join(map(re.escape, found))})"


def _called(target: str) -> str:
    special = {_ATTENTION: "attention in blocks of its language model", _NORMS: "norms"}
    return special.get(target, LABELS.get(target, target))


def _recipe(name: str, data: Mapping[str, Any]) -> Recipe:
    stages = tuple(_stage(name, entry, data["repository"]) for entry in data["stages"])
    instead = {entry["name"]: entry["instead_of"] for entry in data["stages"] if "instead_of" in entry}
    return Recipe(name, data["label"], stages, instead, data["paper"], data["repository"])


def _stage(recipe: str, entry: Mapping[str, Any], repository: str) -> Stage:
    strategy = Strategy(_rules(entry["trains"]), entry["lr"], entry.get("decay"), f"{recipe}/{entry['name']}")
    return Stage(
        name=entry["name"],
        strategy=strategy,
        schedule=entry.get("schedule", ""),
        warmup=entry.get("warmup", 0.0),
        steps=entry.get("steps"),
        epochs=entry.get("epochs"),
        batch=entry.get("batch"),
        per_device=entry.get("per_device"),
        optimizer=entry.get("optimizer", "adamw"),
        max_grad_norm=entry.get("clip"),
        data=entry.get("data", ""),
        length=entry.get("length"),
        source=f"{entry['source']}, {repository}",
        notes=tuple(entry.get("notes", ())),
    )


def _rules(trains: Mapping[str, Any]) -> dict[str, Any]:
    rules: dict[str, Any] = dict.fromkeys(_PARTS, "frozen")
    for part, wanted in trains.items():
        tuning = FULL if wanted == "full" else Lora(**wanted)
        if part == "llm":
            # LoRA on "the LLM" is on its layers; in no recipe here on embeddings or head.
            rules |= dict.fromkeys(_LLM if tuning is FULL else _LLM[:1], tuning)
        else:
            rules[{"llm_attention": _ATTENTION, "norms": _NORMS}.get(part, part)] = tuning
    return rules
