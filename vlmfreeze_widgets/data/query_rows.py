"""Rows with one question and one answer: ms-swift's ``query``/``response`` (with ``history``), alpaca, ``question``/``answer``.

Such rows need no ``<image>``: pictures without a marker come before the first question, as ms-swift puts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .message_parts import count_pictures, marked, pictures_of, text_of
from .rows import ASSISTANT, SYSTEM, USER, BadRow, Message, Place, Row

NAME = "query-response"
_PAIRS = (("query", "response"), ("instruction", "output"), ("question", "answer"))


def recognises(raw: Mapping[str, Any]) -> bool:
    """Whether a row is of this format."""
    return any(answer in raw and question in raw for question, answer in _PAIRS)


def read(place: Place, raw: Mapping[str, Any]) -> Row:
    """The row.

    Raises:
        BadRow: Something in it is of the wrong type.
    """
    question, answer = next(pair for pair in _PAIRS if pair[0] in raw and pair[1] in raw)
    query_text = text_of(raw[question], repr(question))
    if question == "instruction" and raw.get("input"):
        query_text += "\n" + text_of(raw["input"], "'input'")
    turns = [*_history(raw.get("history")), (query_text, text_of(raw[answer], repr(answer)))]
    messages: list[Message] = []
    if isinstance(raw.get("system"), str) and raw["system"]:
        messages.append(Message(SYSTEM, (raw["system"],)))
    for query, replied in turns:
        messages.append(Message(USER, marked(query, count_pictures(messages))))
        messages.append(Message(ASSISTANT, (replied,)))
    return with_leading_pictures(Row(place, tuple(messages), pictures_of(raw, "images", "image")))


def with_leading_pictures(row: Row) -> Row:
    """The row with the pictures that no marker places put before its first question."""
    missing = len(row.pictures) - count_pictures(row.messages)
    if missing <= 0:
        return row
    messages = list(row.messages)
    first = next((i for i, m in enumerate(messages) if m.role == USER), 0)
    for i, message in enumerate(messages):
        moved = tuple(part + missing if isinstance(part, int) else part for part in message.parts)
        parts = (*range(missing), *moved) if i == first else moved
        messages[i] = Message(message.role, parts, message.trained)
    return Row(row.place, tuple(messages), row.pictures)


def _history(value: Any) -> list[tuple[str, str]]:  # whatever the row holds
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise BadRow("format", "'history' is not a list of pairs")
    pairs = []
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise BadRow("format", "'history' is not a list of pairs")
        pairs.append((text_of(pair[0], "a question of 'history'"), text_of(pair[1], "an answer of 'history'")))
    return pairs
