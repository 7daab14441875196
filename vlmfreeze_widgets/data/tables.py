"""Rows that are already objects: a list of mappings, a ``datasets.Dataset``, or anything with a length and an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..core.shorten import shorten
from .rows import BadRow, Place


class TableRows:
    """The rows of a table.

    Args:
        source: Has ``len()`` and ``[row]``.
        name: What messages call it.
    """

    def __init__(self, source: Any, name: str) -> None:  # list, datasets.Dataset, ...
        self._source = source
        self._name = name

    def __iter__(self) -> Iterator[tuple[Place, Any]]:
        """(place, value or BadRow) of every row."""
        return (self.read(row) for row in range(len(self)))

    def __len__(self) -> int:
        return len(self._source)

    def read(self, row: int) -> tuple[Place, Any]:
        """(place, value or BadRow) of one row."""
        place = Place(self._name, 0, row)
        try:
            return place, self._source[row]
        except Exception as error:  # noqa: BLE001 - a data set decodes pictures here, and fails as decoders do
            return place, BadRow("format", f"the row cannot be read ({shorten(error, 120) or type(error).__name__})")
