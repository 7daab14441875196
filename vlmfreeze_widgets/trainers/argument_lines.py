"""Settings as command-line arguments, one a line, quoted for a shell. YAML is in ``yaml_lines``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from ..core.errors import BadConfig
from ..core.shorten import shorten
from .export_request import ExportRequest

_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ONLY_READ = {
    "unfreeze_mm_vision_tower",
    "transformers_version",
    "base_checkpoint",
}  # surroundings of a run, which no argument sets


def argument_lines(
    name: str,
    program: str,
    settings: Mapping[str, Any],
    wanted: ExportRequest,
    others: Mapping[str, Any],
    model_flag: str = "model_name_or_path",
) -> dict[str, str]:
    """A file of arguments.

    Args:
        name: Of the file.
        program: That takes them.
        settings: What decides.
        wanted: The plan.
        others: Settings of the user's own; they come last.
        model_flag: The argument for the model's folder or Hub id.
    """
    folder = wanted.tree.loads_as
    given = {model_flag: folder, **settings, **others}
    strange = [key for key in given if not _ARGUMENT.fullmatch(key)]
    if strange:
        raise BadConfig(
            "An argument cannot have this name.",
            expected="letters, digits and underscores",
            found=shorten(repr(strange[0]), 60),
            remedy="Rename it or leave it out.",
        )
    # xargs takes quotes off, as a shell would; a bare $(cat) would cut at the spaces inside them.
    lines = [f"# grep -v '^#' {name} | xargs deepspeed {program}"]
    lines += [_word(f"--{key}={value}") for key, value in given.items() if key not in _ONLY_READ]
    return {name: "\n".join(lines) + "\n"}


def _word(text: str) -> str:
    if any(sign in text for sign in "\n\r\0"):
        raise BadConfig(
            "An argument of a file of arguments cannot hold a line break or a NUL.",
            expected="one line",
            found=shorten(repr(text), 60),
            remedy="Take it out.",
        )
    return shlex.quote(text)
