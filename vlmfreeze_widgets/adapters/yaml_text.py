"""YAML through ruamel (YAML 1.2, where 1e-5 is a number and ``no`` is a string), safe types only."""

from __future__ import annotations

import re
import warnings
from io import StringIO
from typing import Any

_DEEPEST = 100


def dump(data: Any) -> str:  # plain data
    """Plain data as YAML text."""
    stream = StringIO()
    yaml = _yaml()
    yaml.dump(data, stream)
    return stream.getvalue()


def load(text: str, version: tuple[int, int] = (1, 2)) -> Any:  # plain data
    """Plain data from YAML text.

    Args:
        text: One document.
        version: (1, 1) reads as PyYAML and most trainers do: ``no`` is false and ``012`` is ten.

    Raises:
        ValueError: Not YAML, or YAML with tags, or nested deeper than anybody means.
    """
    _check_depth(text)
    from ruamel.yaml.error import MantissaNoDotYAML1_1Warning, YAMLError

    try:
        yaml = _yaml()
        yaml.version = version
        with warnings.catch_warnings():
            # In 1.1 the loader doubts that 1e-5 is a number; whoever wrote it into settings meant one.
            warnings.simplefilter("ignore", MantissaNoDotYAML1_1Warning)
            return yaml.load(text)
    except YAMLError as error:
        raise ValueError(str(error)) from error


def _check_depth(text: str) -> None:
    # The parser recurses, and takes seconds to find its end.
    depth = 0
    for bracket in re.findall(r"[\[{}\]]", text):
        depth = depth + 1 if bracket in "[{" else max(depth - 1, 0)
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} brackets inside each other")


def _yaml() -> Any:  # ruamel.yaml.YAML
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # rules keep their order: of two equal ones the later wins
    return yaml
