"""The published recipes that run in several stages and fit a model: what a page offers.

Their reader is ``core.recipes.published``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..tree.tree import ModuleTree
from .published import recipes


@dataclass(frozen=True)
class Curriculum:
    """A recipe of several stages.

    Attributes:
        name: What ``vf.published`` calls it.
        label: For menus.
        stages: Names of the stages, in order.
        source: Repository and paper.
    """

    name: str
    label: str
    stages: tuple[str, ...]
    source: str


def curricula(tree: ModuleTree) -> tuple[Curriculum, ...]:
    """Those that have at least two stages and fit the model."""
    return tuple(
        Curriculum(recipe.name, recipe.label, tuple(stage.name for stage in recipe.main), recipe.source)
        for recipe in recipes().values()
        if len(recipe.main) > 1 and recipe.fits(tree)
    )
