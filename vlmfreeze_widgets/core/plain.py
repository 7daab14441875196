"""Plain JSON types: what every trait, reply and event consists of when it leaves Python. In which words is ``core.language``.

Hosts encode differently: JupyterLab's ``json`` takes any subclass of ``str``, marimo's msgspec writes a subclass as a mapping of
its fields, and none takes a numpy number. Here a value becomes what all of them write the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from .numbers import number

_WIDEST = 2**63  # what a signed 64-bit integer ends before; encoders refuse more, and JavaScript rounds from 2**53 on


def plain(value: Any, text: Callable[[str], str] | None = None) -> Any:  # whatever a trait holds
    """The same value, of exactly ``str``, ``int``, ``float``, ``bool``, ``None``, ``list``, ``dict``, and ``bytes`` for columns.

    Never fails: what has no form in JSON becomes its text. A page that says something odd is better than one that stands still.

    Args:
        value: Subclasses of these types, tuples, sets, enums, paths, numpy and torch values too. A number that is not finite
            becomes ``{"f": "nan"}`` and so on, as ``core.numbers`` spells it.
        text: Says a string in the language of a page; by default strings stay as they are.

    Returns:
        A new object, down to the last list.
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, Enum):
        return plain(value.value, text)
    if isinstance(value, str):
        return encodable(value if text is None else text(value))
    if isinstance(value, int):
        whole = int(value)
        return whole if -_WIDEST <= whole < _WIDEST else number(_as_float(whole))
    if isinstance(value, float):
        return number(float(value))
    if isinstance(value, Mapping):
        return {_key(key): plain(inner, text) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, text) for inner in value]
    if isinstance(value, set | frozenset):
        return [plain(inner, text) for inner in sorted(value, key=repr)]  # two looks at one set must not differ
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    listed = _listed(value)
    return encodable(_text(value)) if listed is value else plain(listed, text)


def encodable(value: str) -> str:
    """A string of type ``str`` that UTF-8 can write: half a surrogate pair, as of a file name in another encoding, becomes "?"."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "replace").decode()
    return str.__str__(value)


def _key(key: object) -> str:
    return encodable(key) if isinstance(key, str) and not isinstance(key, Enum) else _text(plain(key))


def _listed(value: Any) -> Any:
    """What numpy and torch make lists and numbers of; the value itself where it has no such form."""
    try:
        return value.tolist() if hasattr(value, "tolist") else value
    except Exception:  # a tensor without numbers, say
        return value


def _text(value: object) -> str:
    try:
        return str.__str__(str(value))
    except Exception:  # an object whose text fails
        return type(value).__name__


def _as_float(whole: int) -> float:
    try:
        return float(whole)
    except OverflowError:
        return math.inf if whole > 0 else -math.inf
