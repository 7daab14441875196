"""One JSON value of one row, read strictly: duplicate keys, NaN, deep nesting and broken text are errors, never guessed around."""

from __future__ import annotations

import json
from typing import Any

from ..core.shorten import shorten
from .rows import BadRow

MAX_ROW_BYTES = 16 * 2**20
_DEEPEST = 64


def read_row(text: bytes) -> Any:  # any JSON value
    """The value of a row.

    Args:
        text: UTF-8; a byte-order mark at its start is passed over.

    Raises:
        BadRow: It is too long, not UTF-8, not JSON, or JSON of a kind that two readers would read differently.
    """
    if len(text) > MAX_ROW_BYTES:
        raise BadRow("json", f"the row has {len(text):,} bytes, more than {MAX_ROW_BYTES:,}")
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadRow("json", f"not UTF-8 (byte {error.start} of the row)") from None
    try:
        value = _DECODER.decode(decoded)
        _check_depth(value)
    except RecursionError:
        raise BadRow("json", f"nested deeper than {_DEEPEST} levels") from None
    except ValueError as error:
        raise BadRow("json", f"not JSON ({error})") from None
    try:
        # "\\ud800" is JSON but no text: every tokenizer would fail on it.
        _encodable(value)
    except UnicodeEncodeError:
        raise BadRow("json", "half of a surrogate pair in a text") from None
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise BadRow("json", f"the key {shorten(twice, 60)!r} stands there twice")
    return found


def _constant(name: str) -> float:
    raise BadRow("json", f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _check_depth(value: Any) -> None:  # any JSON value
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise RecursionError


def _encodable(value: Any) -> None:  # any JSON value
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, dict):
        for key, child in value.items():
            _encodable(key)
            _encodable(child)
    elif isinstance(value, list):
        for child in value:
            _encodable(child)
