"""Rows of a .jsonl file or of one JSON list, without holding the file in memory. What a row means is in ``formats``.

Where the rows lie is in ``row_spans``; the index of a file, 24 bytes a row, is made when the count or a row in the
middle is needed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.errors import BadData, did_you_mean
from .row_spans import item_spans, line_spans, skip_mark
from .rows import BadRow, Place
from .strict_json import MAX_ROW_BYTES, read_row


class JsonRows:
    """The rows of a file.

    Args:
        path: A .jsonl, or a .json that holds one list (or one object per line: some call that .json too).

    Raises:
        BadData: There is no such file, or its first character begins neither a list nor an object.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._index: array[int] | None = None
        try:
            with path.open("rb") as handle:
                first = skip_mark(handle)
        except OSError as error:
            raise unreadable(path, error.strerror or "nothing") from None
        if first not in {b"[", b"{"}:
            raise unreadable(path, f"a file that begins with {first!r}" if first else "an empty file")
        self._is_list = first == b"["

    def __iter__(self) -> Iterator[tuple[Place, Any]]:
        """(place, value or BadRow) of every row, from the start."""
        with self.path.open("rb") as handle:
            for row, (line, start, end) in enumerate(self._scan()):
                yield Place(self.path.name, line, row), _parsed(handle, start, end)

    def __len__(self) -> int:
        return len(self._spans()) // 3

    def read(self, row: int) -> tuple[Place, Any]:
        """(place, value or BadRow) of one row."""
        line, start, end = self._spans()[3 * row : 3 * row + 3]
        with self.path.open("rb") as handle:
            return Place(self.path.name, line, row), _parsed(handle, start, end)

    def _scan(self) -> Iterator[tuple[int, int, int]]:
        return item_spans(self.path) if self._is_list else line_spans(self.path)

    def _spans(self) -> array[int]:
        if self._index is None:
            found = array("q")
            for span in self._scan():
                found.extend(span)
            self._index = found
        return self._index


def _parsed(handle: Any, start: int, end: int) -> Any:  # a JSON value or BadRow
    if end - start > MAX_ROW_BYTES:
        return BadRow("json", f"the row has {end - start:,} bytes, more than {MAX_ROW_BYTES:,}")
    handle.seek(start)
    try:
        return read_row(handle.read(end - start))
    except BadRow as bad:
        return bad


def unreadable(path: Path, found: str) -> BadData:
    """The error for a path that holds no rows."""
    return BadData(
        f"No rows can be read from {path.name}.",
        expected="a .jsonl file, a .json file with one list of objects, or a folder of pictures with captions",
        found=found,
        remedy=_missing(path)
        if not path.exists()
        else "Pickled files (.pt, .pkl) are never opened; write the rows as JSON.",
    )


def _missing(path: Path) -> str:
    """What to do about a name that is not there: the nearest in its folder, or that the folder itself is not there."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"The folder {str(path.parent)!r} is not there either: check the path, which is read from {str(Path.cwd())!r}."
    with suppress(OSError):
        if near := did_you_mean(path.name, [child.name for child in folder.iterdir()]):
            return near
    return f"Check the path, which is read from {str(Path.cwd())!r}."
