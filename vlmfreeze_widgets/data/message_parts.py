"""What all formats of conversations share: roles, ``<image>`` markers, pictures as paths, bytes or objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.shorten import shorten
from .rows import ASSISTANT, SYSTEM, USER, BadRow, Message, PictureRef

_ROLES = {
    "user": USER, "human": USER, "question": USER,
    "assistant": ASSISTANT, "gpt": ASSISTANT, "model": ASSISTANT, "bot": ASSISTANT, "chatgpt": ASSISTANT,
    "system": SYSTEM, "developer": SYSTEM,
}  # fmt: skip
_OTHER_MEDIA = ("video", "videos", "audio", "audios")


def role_of(name: Any) -> str:  # whatever the row holds
    """The role that a format calls by another name.

    Raises:
        BadRow: It is none that can be trained on.
    """
    role = _ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise BadRow("format", f"the role {shorten(name, 60)!r} is not one of user, assistant, system")
    return role


def text_of(value: Any, what: str) -> str:  # whatever the row holds
    """A text.

    Raises:
        BadRow: It is something else.
    """
    if not isinstance(value, str):
        raise BadRow("format", f"{what} is {_kind(value)}, not text")
    return value


def marked(text: str, first: int) -> tuple[str | int, ...]:
    """Text with ``<image>`` markers -> parts; pictures are counted from ``first``. Newlines beside a marker belong to it."""
    pieces = re.split(r"\n*<image>\n*", text)
    parts: list[str | int] = []
    for number, piece in enumerate(pieces):
        if number:
            parts.append(first + number - 1)
        if piece:
            parts.append(piece)
    return tuple(parts)


def pictures_of(raw: Mapping[str, Any], *keys: str) -> tuple[PictureRef, ...]:
    """The pictures that a row names under the first of ``keys`` that it has.

    Raises:
        BadRow: What stands there is no picture, or the row has a video or a sound.
    """
    for key in _OTHER_MEDIA:
        if raw.get(key):
            raise BadRow("format", f"the row has {key}; only pictures are supported")
    for key in keys:
        value = raw.get(key)
        if value is not None:
            many = value if isinstance(value, (list, tuple)) else [value]
            return tuple(picture_of(item, f"picture {i + 1}") for i, item in enumerate(many))
    return ()


def picture_of(value: Any, what: str) -> PictureRef:  # whatever the row holds
    """One picture: a path or URL, bytes, a ``PIL.Image``, or a mapping of the kind that ``datasets`` writes.

    Raises:
        BadRow: It is none of these.
    """
    if isinstance(value, str):
        return PictureRef(value)
    if isinstance(value, (bytes, bytearray)):
        return PictureRef(what, bytes(value))
    if isinstance(value, Mapping):
        name = next((value[k] for k in ("path", "url", "image", "file_name") if isinstance(value.get(k), str)), None)
        content = value.get("bytes")
        if isinstance(content, (bytes, bytearray)):
            return PictureRef(name or what, bytes(content))
        if name is not None:
            return PictureRef(name)
    elif hasattr(value, "convert") and hasattr(value, "size"):
        return PictureRef(str(getattr(value, "filename", "") or what), value)
    raise BadRow("format", f"{what} is {_kind(value)}, not a path or a picture")


def list_of(raw: Mapping[str, Any], key: str) -> Sequence[Any]:
    """The list under a key.

    Raises:
        BadRow: There is none.
    """
    value = raw.get(key)
    if not isinstance(value, (list, tuple)) or not value:
        raise BadRow("format", f"{key!r} is {_kind(value) if value != [] else 'an empty list'}, not a list of turns")
    return value


def count_pictures(messages: Sequence[Message]) -> int:
    """How many pictures the messages place."""
    return sum(isinstance(part, int) for message in messages for part in message.parts)


def _kind(value: Any) -> str:  # whatever the row holds
    names = {type(None): "missing", dict: "an object", list: "a list", bool: "true or false", str: "a text"}
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else f"a {type(value).__name__}")
