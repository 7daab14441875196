"""What a row of training data is, whatever file it came from: messages, pictures, and where it stood. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

USER = "user"
ASSISTANT = "assistant"
SYSTEM = "system"


@dataclass(frozen=True)
class Place:
    """Where a row stands.

    Attributes:
        source: File name, or "list", "dataset".
        line: Line of the file (from 1), or 0 where there are no lines.
        row: Position among the rows, from 0.
    """

    source: str
    line: int
    row: int

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}" if self.line else f"{self.source}, row {self.row}"


@dataclass(frozen=True)
class PictureRef:
    """A picture that a row names.

    Attributes:
        name: What to call it in messages: a path, a URL, "picture 2 of the row".
        content: The bytes or a ``PIL.Image`` when the row brings the picture itself, None when ``name`` says where it is.
    """

    name: str
    content: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Message:
    """One turn.

    Attributes:
        role: "system", "user" or "assistant".
        parts: Text, or the number of a picture of the row (from 0), in reading order.
        trained: False for an answer that the row itself takes out of the loss.
    """

    role: str
    parts: tuple[str | int, ...]
    trained: bool = True

    @property
    def text(self) -> str:
        """Its text without pictures."""
        return "".join(part for part in self.parts if isinstance(part, str))


@dataclass(frozen=True)
class Row:
    """One training example."""

    place: Place
    messages: tuple[Message, ...]
    pictures: tuple[PictureRef, ...]


@dataclass(frozen=True)
class Dropped:
    """A row that is left out.

    Attributes:
        place: Where it stands.
        code: A stable word: "json", "format", "picture", "placeholders", "too-long", "labels", "processor".
        reason: One sentence, with the picture's name where one is to blame.
    """

    place: Place
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class Remark:
    """Something about a row that is used all the same, such as a picture that was turned upright."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class BadRow(Exception):
    """A row cannot be used. Raised and caught inside this folder: what a user sees is ``Dropped``.

    Args:
        code: As in ``Dropped``.
        reason: One sentence.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
