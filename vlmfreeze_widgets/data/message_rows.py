"""Rows with ``messages`` of ``{role, content}``: chat JSONL, LLaMA-Factory's sharegpt with ``images``, ms-swift.

The content is text with ``<image>`` markers, or a list of parts as in a chat API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.shorten import shorten
from .message_parts import count_pictures, list_of, marked, picture_of, pictures_of, role_of, text_of
from .rows import SYSTEM, BadRow, Message, PictureRef, Place, Row

NAME = "messages"


def recognises(raw: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return "messages" in raw


def read(place: Place, raw: Mapping[str, Any]) -> Row:
    """The row.

    Raises:
        BadRow: Something in it is of the wrong type.
    """
    listed = pictures_of(raw, "images", "image")
    inline: list[PictureRef] = []
    messages: list[Message] = []
    if isinstance(raw.get("system"), str) and raw["system"]:
        messages.append(Message(SYSTEM, (raw["system"],)))
    for number, turn in enumerate(list_of(raw, "messages")):
        if not isinstance(turn, Mapping):
            raise BadRow("format", f"turn {number + 1} is not an object")
        # A turn is trained unless it says no: ms-swift writes "loss": false, OpenAI's files "weight": 0.
        trained = turn.get("loss") is not False and turn.get("weight") != 0
        role = role_of(turn.get("role", turn.get("from")))
        content = turn.get("content", turn.get("value"))
        first = count_pictures(messages)
        if isinstance(content, (list, tuple)):
            parts = _parts(content, first, inline)
        else:
            parts = marked(text_of(content, f"the content of turn {number + 1}"), first)
        messages.append(Message(role, parts, trained))
    if inline and listed:
        raise BadRow("format", "pictures stand both in the content and in a list beside it")
    return Row(place, tuple(messages), tuple(inline) or listed)


def _parts(content: Any, first: int, inline: list[PictureRef]) -> tuple[str | int, ...]:  # a list of parts
    parts: list[str | int] = []
    seen = first
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, str):
            parts.append(part)
        elif kind == "text":
            parts.append(text_of(part.get("text"), "the text of a part"))
        elif kind in {"image", "image_url"}:
            given = next((part[k] for k in ("image", "image_url", "url", "path") if part.get(k) is not None), None)
            if given is not None:
                inline.append(picture_of(given, f"picture {seen + 1}"))
            parts.append(seen)
            seen += 1
        else:
            raise BadRow("format", f"a part of the kind {shorten(kind, 40)!r}; text and image are supported")
    return tuple(parts)
