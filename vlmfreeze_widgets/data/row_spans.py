"""Where the rows of a file lie, as (line, first byte, byte after the last). Reads in chunks and keeps none of them.

Nothing is parsed here: a row that is no JSON has a place too, so that it can be named and the rest goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

Span = tuple[int, int, int]
_CHUNK = 2**20
_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_MARK = re.compile(rb'["\[\]{},]|[^\s"\[\]{},]+')
_QUICK = json.JSONDecoder(strict=False)
_IN_STRING = re.compile(rb'["\\]')


def skip_mark(handle: BinaryIO) -> bytes:
    """The first byte that is no space, b"" in an empty file; a byte-order mark and spaces are passed over."""
    if handle.read(3) != _BOM:
        handle.seek(0)
    while byte := handle.read(1):
        if byte not in _SPACE:
            return byte
    return b""


def line_spans(path: Path) -> Iterator[Span]:
    """The lines that are not blank."""
    with path.open("rb") as handle:
        number, start, blank = 1, 0, True
        position = 0
        while chunk := handle.read(_CHUNK):
            at = 0
            while (end := chunk.find(b"\n", at)) >= 0:
                if not blank or chunk[at:end].strip(_SPACE):
                    yield number, start, position + end
                number, start, blank, at = number + 1, position + end + 1, True, end + 1
            blank = blank and not chunk[at:].strip(_SPACE)
            position += len(chunk)
        if not blank:
            yield number, start, position


def item_spans(path: Path) -> Iterator[Span]:
    """The items of a file that is one JSON list. A file that is cut off has what is left of it as its last item."""
    with path.open("rb") as handle:
        skip_mark(handle)
        position = handle.tell()  # of the first byte of the chunk; now behind the opening bracket
        handle.seek(0)
        line = 1 + handle.read(position).count(b"\n")
        depth, quoted, escaped = 1, False, False
        start, first_line = -1, line
        while chunk := handle.read(_CHUNK):
            at, counted = 0, 0
            text = chunk.decode("latin-1")  # one character a byte
            while at < len(chunk):
                if escaped:
                    at, escaped = at + 1, False
                    continue
                mark = (_IN_STRING if quoted else _MARK).search(chunk, at)
                if mark is None:
                    break
                at, sign = mark.end(), mark.group()
                if quoted:
                    quoted, escaped = sign != b'"', sign == b"\\"
                    continue
                ends = depth == 1 and sign in {b",", b"]"}
                if ends and start >= 0:
                    yield first_line, start, position + mark.start()
                    start = -1
                if ends and sign == b"]":
                    line += chunk.count(b"\n", counted, at)
                    yield from _behind(handle, position + at, line)
                    return
                if ends:
                    continue
                if start < 0:
                    line, counted = line + chunk.count(b"\n", counted, mark.start()), mark.start()
                    start, first_line = position + mark.start(), line
                    if sign == b"{" and (end := _object_end(text, mark.start())):
                        at = end
                        continue
                quoted = sign == b'"'
                depth += (sign in {b"[", b"{"}) - (sign in {b"]", b"}"})
                depth = max(depth, 1)
            line += chunk.count(b"\n", counted)
            position += len(chunk)
        if start >= 0:
            yield first_line, start, position


def _behind(handle: BinaryIO, end: int, line: int) -> Iterator[Span]:
    """What stands behind the end of the list, as one row that will be found to be none."""
    handle.seek(end)
    position = end
    while chunk := handle.read(_CHUNK):
        text = chunk.lstrip(_SPACE)
        if text:
            skipped = len(chunk) - len(text)
            yield line + chunk.count(b"\n", 0, skipped), position + skipped, handle.seek(0, 2)
            return
        line += chunk.count(b"\n")
        position += len(chunk)


def _object_end(text: str, start: int) -> int:
    """Where the object ends that begins there, 0 where that is not known at once; ten times as quick as looking for it."""
    try:
        return _QUICK.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return 0
