"""Settings as command-line arguments, one a line, quoted for a shell. YAML is in ``yaml_lines``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from .asked import Asked

_ONLY_READ = {"unfreeze_mm_vision_tower", "transformers_version"}  # surroundings of a run, which no argument sets


def argument_lines(
    name: str, program: str, settings: Mapping[str, Any], wanted: Asked, others: Mapping[str, Any]
) -> dict[str, str]:
    """A file of arguments.

    Args:
        name: Of the file.
        program: That takes them.
        settings: What decides.
        wanted: The plan.
        others: Settings of the person's own; they come last.
    """
    folder = wanted.tree.checkpoint.folder if wanted.tree.checkpoint else wanted.tree.title
    given = {"model_name_or_path": folder, **settings, **others}
    lines = [f"# deepspeed {program} $(grep -v '^#' {name})"]
    lines += [f"--{key} {_word(value)}" for key, value in given.items() if key not in _ONLY_READ]
    return {name: "\n".join(lines) + "\n"}


def _word(value: Any) -> str:  # noqa: ANN401
    return shlex.quote(str(value))
