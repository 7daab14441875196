"""A trainer's flags as typed values: defaults filled in, words and numbers distinguished as the trainer's own parser does. Where
flags come from (files, command lines) is in ``sources``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

from ..core.errors import BadConfig
from ..core.shorten import shorten

Kind = Literal["bool", "int", "float", "text", "names", "numbers", "mapping", "factors", "names or text"]
_TRUE, _FALSE = {"true", "yes", "on", "y", "1"}, {"false", "no", "off", "n", "0"}
_NOTHING = {"", "none", "null", "~"}


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        kind: What its value is; "names" is a list, or a text with commas; "factors" is a mapping to numbers.
        default: The trainer's default.
    """

    kind: Kind
    default: Any = None


def read_flags(given: Mapping[str, Any], known: Mapping[str, Flag], trainer: str) -> dict[str, Any]:
    """The values of all known flags, with the defaults of those not given.

    Raises:
        BadConfig: A value of the wrong kind, or a flag that is one letter away from a known one.
    """
    for name in given:
        close = get_close_matches(str(name), known, n=1, cutoff=0.88)
        if name not in known and close and close[0] not in given:
            raise BadConfig(
                f"{trainer} has no flag {name!r}.",
                expected=close[0],
                found=str(name),
                remedy=f"Did you mean {close[0]!r}? A flag that is misspelt would leave the default in force.",
            )
    values = {}
    for name, flag in known.items():
        value = given.get(name, flag.default)
        values[name] = flag.default if value is None else _typed(name, value, flag.kind, trainer)
    return values


def other_settings(given: Mapping[str, Any], known: Mapping[str, Flag]) -> dict[str, Any]:
    """What was given beside the flags that decide what trains."""
    return {name: value for name, value in given.items() if name not in known}


def check_plain(given: Mapping[str, Any]) -> None:
    """Refuses values that no settings file holds: objects, and numbers that are not finite, which each format writes otherwise.

    Raises:
        BadConfig: The same.
    """
    for name, value in given.items():
        if not _is_plain(value):
            raise BadConfig(
                f"The setting {name!r} cannot be written into a file.",
                expected="a text, a finite number, true or false, None, or a list or mapping of these",
                found=shorten(repr(value), 60),
                remedy="Give another value, or leave it out.",
            )


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(held) for key, held in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def _typed(name: str, value: Any, kind: Kind, trainer: str) -> Any:  # noqa: PLR0912
    text = value.strip() if isinstance(value, str) else ""
    try:
        if kind == "bool":
            if isinstance(value, bool):
                return value
            word = str(value).strip().lower()
            if word in _TRUE | _FALSE:
                return word in _TRUE
        elif kind == "int":
            if not isinstance(value, bool) and float(value) == int(float(value)):
                return int(float(value))
        elif kind == "float":
            number = math.nan if isinstance(value, bool) else float(value)
            if math.isfinite(number):
                return number
        elif kind in ("names", "names or text", "numbers"):
            return _listed(value, text, kind)
        elif kind in ("mapping", "factors"):
            read = json.loads(value) if isinstance(value, str) else value
            if isinstance(read, Mapping) and (kind == "mapping" or all(_is_finite(v) for v in read.values())):
                return {str(key): held for key, held in read.items()}
        elif isinstance(value, str | int | float):
            # A program may pass False or 0.1 where the trainer wants the word; the trainer reads its text.
            return None if str(value).strip().lower() in _NOTHING else str(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass
    raise BadConfig(
        f"{trainer}'s flag {name} has a value that cannot be meant.",
        expected={"bool": "true or false", "int": "a whole number", "float": "a number"}.get(kind, kind),
        found=shorten(repr(value), 60),
        remedy=f"Give {name} another value, or leave it out.",
    )


def _listed(value: Any, text: str, kind: Kind) -> Any:
    if isinstance(value, str):
        if text.lower() in _NOTHING:
            return []
        if text.startswith("["):
            value = json.loads(text)
        elif kind == "names or text":
            return text
        else:
            value = [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(value, int) and kind == "numbers":
        value = [value]
    if isinstance(value, Mapping) or not hasattr(value, "__iter__"):
        raise ValueError(value)
    return [int(v) for v in value] if kind == "numbers" else [str(v) for v in value]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
