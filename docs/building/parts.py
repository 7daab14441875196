"""The generated parts by name: a page says `<!-- made: presets -->` where one goes. No part is written down in a file."""

from __future__ import annotations

import re
from collections.abc import Callable

from . import architectures, command_line, layers, measured, presets, reference, trainers

PARTS: dict[str, Callable[[], str]] = {
    "presets": presets.presets,
    "architectures": architectures.architectures,
    "commands": command_line.command_line,
    "trainers": trainers.trainers,
    **{f"trainer {name}": lambda name=name: trainers.refusals(name) for name in trainers.TRAINERS},
    "lesson": measured.lesson,
    "cost summary": measured.cost_summary,
    "cost cells": measured.cost_cells,
    "cost checkpoints": measured.cost_checkpoints,
    "cost in page": measured.cost_in_page,
    "overhead": measured.overhead,
    "trees": measured.trees,
    "comparisons": measured.comparisons,
    "conformance": measured.conformance,
    "gpu": measured.gpu,
    "layers": layers.layers_figure,
    "contributing": layers.contributing,
    **{f"reference {page}": lambda page=page: reference.reference(page) for page in reference.GROUPS},
}
PLACE = re.compile(r"^<!-- made: (.+?) -->$", re.MULTILINE)


def filled(text: str) -> str:
    """A page with its parts in it.

    Raises:
        KeyError: It names a part that nothing makes.
    """
    return PLACE.sub(lambda found: PARTS[found[1]](), text)
