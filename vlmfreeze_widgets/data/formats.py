"""Which format a row is of, and what holds for rows of every format. How each is read is in the ``*_rows`` files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import BadData
from ..core.shorten import shorten
from . import caption_rows, conversation_rows, message_rows, query_rows
from .message_parts import count_pictures
from .rows import ASSISTANT, BadRow, Place, Row

FORMATS: dict[str, str] = {
    "llava": conversation_rows.NAME,
    "messages": message_rows.NAME,
    "sharegpt": "",
    "llamafactory": "",
    "ms-swift": "",
    "query-response": query_rows.NAME,
    "captions": caption_rows.NAME,
}
"""Format -> the one reader of its rows, "" where the row's keys decide."""

READERS = (conversation_rows, message_rows, query_rows, caption_rows)
CAPTION_PROMPT = "Describe the picture."


def check_format(name: str | None) -> str | None:
    """A known format, None for "look at the keys of each row".

    Raises:
        BadData: There is no such format.
    """
    if name in {None, "auto"}:
        return None
    if name not in FORMATS:
        raise BadData(
            f"There is no format {name!r}.",
            expected=f"auto, {', '.join(FORMATS)}",
            found=repr(name),
            remedy="Leave format out: the keys of each row say which it is.",
        )
    return name


def read_raw(place: Place, raw: Any, wanted: str | None = None, prompt: str = CAPTION_PROMPT) -> Row:
    """A row as a value, checked.

    Args:
        place: Where it stands.
        raw: What the file or table holds there.
        wanted: A key of ``FORMATS``; None decides by the row's keys.
        prompt: The question of captions.

    Raises:
        BadRow: It cannot be used, and why.
    """
    if not isinstance(raw, Mapping):
        raise BadRow("format", "the row is not an object")
    only = FORMATS[wanted] if wanted else ""
    reader = next((r for r in READERS if (not only or only == r.NAME) and r.recognises(raw)), None)
    if reader is None:
        keys = ", ".join(shorten(repr(str(k)), 40) for k in list(raw)[:8]) or "none"
        raise BadRow("format", f"no {only or 'conversation, question or caption'} in the row (its keys: {keys})")
    row = caption_rows.read(place, raw, prompt) if reader is caption_rows else reader.read(place, raw)
    if wanted == "ms-swift":
        row = query_rows.with_leading_pictures(row)
    _check(row)
    return row


def _check(row: Row) -> None:
    answers = [m for m in row.messages if m.role == ASSISTANT]
    if not answers:
        raise BadRow("format", "there is no assistant turn to learn from")
    if not any(m.trained and m.text.strip() for m in answers):
        raise BadRow("format", "every assistant turn is empty or taken out of the loss")
    if any(isinstance(part, int) for m in answers for part in m.parts):
        raise BadRow("format", "an assistant turn holds a picture")
    placed = count_pictures(row.messages)
    if placed != len(row.pictures):
        raise BadRow("placeholders", f"{placed} <image> in the text, {len(row.pictures)} pictures in the row")
