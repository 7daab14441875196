"""Presets: every stage of every published recipe as one strategy that a user can pick. The recipes are in
``core.recipes.published``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..arguments import checked
from ..strategy.accepted import TREE
from ..strategy.strategy import Strategy
from ..tree.tree import ModuleTree
from .plain_presets import plain_preset
from .published import RECIPE_NAME, Recipe, bind, find_stage, recipes
from .stage import Stage
from .text import how_long, what_trains


@dataclass(frozen=True)
class Preset:
    """One stage of a published recipe.

    Attributes:
        name: Such as "llava-1.5/pretrain".
        label: For menus.
        strategy: What trains, and at which rates.
        batch: Batch, epochs and schedule, as the source says.
        source: Script and repository.
        stage: All that is known of it.
    """

    name: str
    label: str
    strategy: Strategy
    batch: str
    source: str
    stage: Stage


def _preset(recipe: Recipe, stage: Stage) -> Preset:
    label = f"{recipe.label}, {stage.name}"
    return Preset(f"{recipe.name}/{stage.name}", label, stage.strategy, how_long(stage), stage.source, stage)


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for recipe in recipes().values()
    for stage in recipe.stages
    for preset in (_preset(recipe, stage),)
}
"""Name -> preset."""


@checked(name=RECIPE_NAME, tree=TREE)
def preset(name: str, tree: ModuleTree | None = None) -> Strategy:
    """The strategy of one stage of a published recipe; of a recipe without a stage named, its first.

    Args:
        name: "llava-1.5/pretrain", also with a colon.
        tree: The model that it is for; parts that it does not have are left out.

    Raises:
        UnknownTarget: No such preset; the message gives the nearest.
    """
    recipe, stage = find_stage(name)
    chosen = stage or recipe.stages[0]
    return (chosen if tree is None else bind(chosen, tree)).strategy


def chosen_preset(tree: ModuleTree, name: str) -> Strategy:
    """A plain preset or a stage of a published recipe, without rules for components that this model does not have.

    Raises:
        UnknownTarget: No such preset.
    """
    return plain_preset(name, tree) if name.startswith("plain/") else preset(name, tree)


class PresetTable(tuple[Preset, ...]):
    """Presets, printed as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        rows = [("name", "what trains", "how long"), *((p.name, what_trains(p.strategy), p.batch) for p in self)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        sources = ["source", *(p.source for p in self)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths)) + f"  {source}"
            for row, source in zip(rows, sources, strict=True)
        )


@checked(tree=TREE)
def presets(tree: ModuleTree | None = None) -> PresetTable:
    """The published presets, with what trains, how long and the source.

    Args:
        tree: Only recipes that fit this model, bound to its parts; without it all of them.
    """
    if tree is None:
        return PresetTable(PRESETS.values())
    fitting = [recipe for recipe in recipes().values() if recipe.fits(tree)]
    return PresetTable(_preset(recipe, bind(stage, tree)) for recipe in fitting for stage in recipe.stages)
