"""The trait ``options`` of a page (tests/wire/README.md), from what a user asks for and the environment."""

from __future__ import annotations

import os
from typing import Any

from ..core.arguments import FLAG, maybe, one_of, whole
from ..core.language.choice import asked_language, first_words

TOUR = "VLMFREEZE_TOUR"
_HEIGHT = whole(40, 430)
_THEME = one_of(("auto", "light", "dark"), "auto")
_TOUR = maybe(FLAG)


def page_options(height: int, theme: str, language: str | None = None, tour: bool | None = None) -> dict[str, Any]:
    """What the page gets once.

    Args:
        height: In CSS pixels.
        theme: "auto", "light" or "dark".
        language: "auto", "en" or "zh"; None as the environment says.
        tour: Whether a first visit is offered a tour; None as the environment says.

    Raises:
        InvalidOption: A value that the page cannot have: no such language or theme, a height that is no number of pixels.
    """
    _HEIGHT.check("The page", "height", height)
    _THEME.check("The page", "theme", theme)
    _TOUR.check("The page", "tour", tour)
    requested = asked_language(language)
    offered = os.environ.get(TOUR, "") != "0" if tour is None else tour
    return {"height": height, "theme": theme, "language": requested, "words": first_words(requested), "tour": offered}
