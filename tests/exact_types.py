"""Support: what a strict encoder would refuse or write otherwise, found by exact types. No tests here."""

from __future__ import annotations

import math
from typing import Any


def not_plain(value: Any, place: str = "state") -> list[str]:
    """Every place of a state that holds anything but exactly str, int, float, bool, None, list, dict, or the bytes of a column."""
    kind = type(value)
    if value is None or kind in (bool, bytes):
        return []
    if kind is str:
        return [] if _is_utf8(value) else [f"{place}: half a surrogate pair"]
    if kind is int:
        return [] if -(2**63) <= value < 2**64 else [f"{place}: {value} has more than 64 bits"]
    if kind is float:
        return [] if math.isfinite(value) else [f"{place}: {value}"]
    if kind is list:
        return [found for i, inner in enumerate(value) for found in not_plain(inner, f"{place}[{i}]")]
    if kind is dict:
        return [
            found
            for key, inner in value.items()
            for found in (*not_key(key, place), *not_plain(inner, f"{place}.{key!s}"))
        ]
    return [f"{place}: {kind.__name__}"]


def not_key(key: Any, place: str) -> list[str]:
    """Whether a key of a mapping is a plain string."""
    return [] if type(key) is str and _is_utf8(key) else [f"{place}: the key {key!r} is a {type(key).__name__}"]


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
