"""YAML and JSON files of people, read as plain data: the one refusal of a file that cannot be read, for strategies and stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .errors import InvalidStrategy
from .shorten import shorten
from .strict_json import load_json


def load_text_file(path: str | Path, what: str, remedy: str) -> Any:  # plain data
    """What a file holds; YAML by its ending (.yaml, .yml), else JSON.

    Args:
        path: Of the file.
        what: It should be, such as "a strategy".
        remedy: How such a file is made.

    Raises:
        InvalidStrategy: The file is not there, cannot be read, or is no YAML or JSON; the message names it.
    """
    path = Path(path)
    is_yaml = path.suffix in (".yaml", ".yml")
    try:
        text = path.read_text(encoding="utf-8")
        if is_yaml:
            from ..adapters import yaml_text

            return yaml_text.load(text)
        return load_json(text)
    except OSError as error:
        raise InvalidStrategy(
            f"The file of {what} cannot be read.",
            expected="a YAML or JSON file",
            found=shorten(f"{path}: {error.strerror or error}", 300),
            remedy=f"Check the path; {remedy}",
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidStrategy(
            f"This is not {what}.",
            expected="YAML" if is_yaml else "JSON",
            found=shorten(f"{path.name}: {error}", 300),
            remedy=f"Correct the file; {remedy}",
        ) from error
