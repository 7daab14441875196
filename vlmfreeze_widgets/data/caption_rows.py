"""Rows with one picture and its caption: Hub data sets, picture folders. The question is the same for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .message_parts import pictures_of, text_of
from .rows import ASSISTANT, USER, BadRow, Message, Place, Row

NAME = "captions"
_CAPTIONS = ("caption", "text", "captions")
_PICTURES = ("image", "file_name", "images", "path", "filename")


def recognises(raw: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return any(raw.get(k) is not None for k in _CAPTIONS) and any(k in raw for k in _PICTURES)


def read(place: Place, raw: Mapping[str, Any], prompt: str) -> Row:
    """The row.

    Args:
        place: Where it stands.
        raw: A picture and a caption, or a list of captions of which the first is taken.
        prompt: What the user asks.

    Raises:
        BadRow: Something in it is of the wrong type.
    """
    value = next((raw[k] for k in _CAPTIONS if raw.get(k) is not None), None)
    if isinstance(value, (list, tuple)) and value:
        value = value[0]
    caption = text_of(value, "the caption").strip()
    pictures = pictures_of(raw, *_PICTURES)
    if not pictures:
        raise BadRow("format", "there is no picture")
    prompt_parts: tuple[str | int, ...] = (*range(len(pictures)), *([prompt] if prompt else []))
    return Row(place, (Message(USER, prompt_parts), Message(ASSISTANT, (caption,))), pictures)
