"""The table of published presets, recipe by recipe, with the script or paper that says so."""

from __future__ import annotations

import re

from vlmfreeze_widgets.core.recipes.published import Recipe, recipes
from vlmfreeze_widgets.core.recipes.text import how_long, what_trains

from .cells import cell, code, table


def presets() -> str:
    """All recipes."""
    known = recipes().values()
    stages = sum(len(recipe.stages) for recipe in known)
    return "\n".join([f"{len(known)} recipes with {stages} stages.\n", *map(_recipe, known)])


def _rates(text: str) -> str:
    # The hyphen of 1e-3 is no place to break a line.
    return re.sub(r"(\de)-(\d)", "\\1\u2011\\2", cell(text))


def _recipe(recipe: Recipe) -> str:
    where = [f"[{recipe.repository}](https://github.com/{recipe.repository})"] if recipe.repository else []
    if recipe.paper.startswith("arXiv:"):
        number = recipe.paper.removeprefix("arXiv:").split()[0].strip(",;")
        where.append(f"[{cell(recipe.paper)}](https://arxiv.org/abs/{number})")
    elif recipe.paper:
        where.append(cell(recipe.paper))
    rows = []
    for stage in recipe.stages:
        instead = recipe.instead_of.get(stage.name)
        name = code(f"{recipe.name}/{stage.name}") + (f"<br>instead of {cell(instead)}" if instead else "")
        script = stage.source.removesuffix(f", {recipe.repository}")
        rows.append((name, _rates(what_trains(stage.strategy)), cell(how_long(stage)), cell(stage.data), cell(script)))
    notes = [f"- {cell(stage.name)}: {cell(note)}" for stage in recipe.stages for note in stage.notes]
    return "\n".join(
        [
            f"## {cell(recipe.label)}\n",
            f"{', '.join(where)}\n",
            table(("preset", "what trains", "how long", "data", "script"), rows),
            *notes,
            "",
        ]
    )
