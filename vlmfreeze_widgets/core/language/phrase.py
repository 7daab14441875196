"""A text that remembers how it was made: an English ``str`` with its template and values, so that it can be translated into
another language where it is shown. Who makes one decides nothing about languages; the tables are ``core.language.chinese``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ..plain import plain
from .chinese import CHINESE

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Phrase(str):
    """English text with the template and the values that it was made of.

    It is its English text for everything that takes a ``str``; only ``spoken`` looks further. What is cut, joined with ``+`` or
    formatted into another text is plain English again.

    Attributes:
        template: With a name in braces in the place of each value.
        values: Of those names; a value that is a phrase itself is translated too.
    """

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, values: Mapping[str, str]) -> Phrase:
        """Of a template and texts of its names."""
        phrase = super().__new__(cls, _filled(template, values))
        phrase.template = template
        phrase.values = values
        return phrase

    def __reduce__(self) -> tuple[Any, ...]:
        return Phrase, (self.template, dict(self.values))

    def __deepcopy__(self, memo: object) -> Phrase:
        return self  # nothing of it changes


def say(template: str, **values: object) -> Phrase:
    """A phrase, such as ``say("{n} of {all} tensors", n=3, all=8)``. The template is always a literal: a test gathers them.

    Args:
        template: English, with names in braces.
        values: Numbers and texts of those names, formatted as they shall be read.
    """
    return Phrase(template, {name: value if isinstance(value, str) else str(value) for name, value in values.items()})


def say_count(number: int, one: str, several: str, **values: object) -> Phrase:
    """One of two templates, both literals; ``{n}`` is the number."""
    return say(one if number == 1 else several, n=number, **values)


def joined(parts: Iterable[str], separator: str) -> Phrase:
    """Phrases in a row. The separator is the same in every language."""
    values = {f"p{i}": part for i, part in enumerate(parts)}
    return Phrase(separator.join(f"{{{name}}}" for name in values), values)


def spoken(text: str, language: Language) -> str:
    """A text in a language, as a plain ``str``; English where no table has its template, or it is no phrase."""
    if not isinstance(text, Phrase) or language == "en":
        return str.__str__(text)
    values = {name: spoken(value, language) for name, value in text.values.items()}
    template = CHINESE.get(text.template)
    return _filled(text.template, values) if template is None else _filled_chinese(template, values)


def spoken_state(state: Any, language: Language) -> Any:  # whatever a trait holds
    """A trait with all its phrases translated, in a new object of plain JSON types alone (``core.plain``)."""
    return plain(state, lambda text: spoken(text, language))


def _filled_chinese(template: str, values: Mapping[str, str]) -> str:
    """With a template's space only where it parts Chinese from Latin letters or numbers; values stay as they are."""
    parts = _PLACEHOLDER.split(template)  # text, name, text, name, text
    parts = [values.get(part, f"{{{part}}}") if i % 2 else part for i, part in enumerate(parts)]
    joined_text = ""
    for i, part in enumerate(parts):
        after = next((later[0] for later in parts[i + 1 :] if later), "")
        text = str(part)
        if i % 2 == 0 and text:
            if text[0] == " " and _both_chinese(joined_text[-1:], text[1:2] or after):
                text = text[1:]
            if text[-1:] == " " and _both_chinese(text[-2:-1] or joined_text[-1:], after):
                text = text[:-1]
        joined_text += text
    return joined_text


def _both_chinese(before: str, after: str) -> bool:
    return all(
        "\u3001" <= letter <= "\u9fff" or "\uff00" <= letter <= "\uffef" for letter in (before or "x", after or "x")
    )


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: str.__str__(values.get(found[1], found[0])), template)
