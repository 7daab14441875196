"""LLaVA's rows, and sharegpt's of the same words: ``conversations`` of ``{from, value}``, with ``image`` or ``images``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .message_parts import count_pictures, list_of, marked, pictures_of, role_of, text_of
from .rows import BadRow, Message, Place, Row

NAME = "llava"


def recognises(raw: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return "conversations" in raw


def read(place: Place, raw: Mapping[str, Any]) -> Row:
    """The row.

    Raises:
        BadRow: Something in it is of the wrong type.
    """
    messages: list[Message] = []
    for number, turn in enumerate(list_of(raw, "conversations")):
        if not isinstance(turn, Mapping):
            raise BadRow("format", f"turn {number + 1} is not an object")
        role = role_of(turn.get("from", turn.get("role")))
        text = text_of(turn.get("value", turn.get("content")), f"the text of turn {number + 1}")
        messages.append(Message(role, marked(text, count_pictures(messages))))
    return Row(place, tuple(messages), pictures_of(raw, "image", "images"))
