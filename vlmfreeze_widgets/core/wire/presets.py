"""What the page's preset menu shows: plain presets, and the published recipes that fit the model, each stage with what its source
says. Sent once, as part of the trait ``handover_state``; plain data.
"""

from __future__ import annotations

import re
from typing import Any

from ..language.issue_links import linked
from ..language.phrase import say
from ..recipes.plain_presets import PLAIN
from ..recipes.published import Recipe, recipes
from ..recipes.stage import Stage
from ..recipes.text import how_long, what_trains
from ..tree.tree import ModuleTree

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def preset_groups(tree: ModuleTree) -> list[dict[str, Any]]:
    """Groups of a menu, in order: ``[{title, source, url, items: [{name, label, what, how, data, source, notes}]}]``."""
    plain = [
        {**_empty(made.name, made.label), "what": what_trains(made.strategy(tree))}
        for made in PLAIN.values()
        if made.fits(tree)
    ]
    known = [_recipe(recipe) for recipe in recipes().values() if recipe.fits(tree)]
    first = {"title": say("Plain"), "source": say("at default rates"), "url": "", "items": plain}
    return [first, *known] if plain else known


def _recipe(recipe: Recipe) -> dict[str, Any]:
    is_repository = _REPOSITORY.fullmatch(recipe.repository) is not None
    return {
        "title": recipe.label,
        "source": recipe.source,
        "url": f"https://github.com/{recipe.repository}" if is_repository else "",
        "items": [_stage(recipe, stage) for stage in recipe.stages],
    }


def _stage(recipe: Recipe, stage: Stage) -> dict[str, Any]:
    return {
        **_empty(f"{recipe.name}/{stage.name}", stage.name),
        "what": what_trains(stage.strategy),
        "how": how_long(stage),
        "data": stage.data,
        "source": stage.source,
        "notes": [[[words.text, words.url] for words in linked(note)] for note in stage.notes],
    }


def _empty(name: str, label: str) -> dict[str, Any]:
    return {"name": name, "label": label, "what": "", "how": "", "data": "", "source": "", "notes": []}
