"""In which language a widget's traits are: kept as they were made, translated for the page. A page sends its language as a request;
the traits follow on the outbox's thread. What the words are is in ``core.language``.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, Protocol

from ..core.errors import BadRequest
from ..core.language.phrase import LANGUAGES, Language, spoken_state
from ..core.shorten import shorten


class _HasTraits(Protocol):
    def set_trait(self, name: str, value: object) -> None:
        """Sets a trait by its name."""


class Translations:
    """Says the traits of one widget.

    Args:
        widget: Whose they are.
        options: Its trait ``options``; ``words`` is the language to begin with.
    """

    def __init__(self, widget: _HasTraits, options: Mapping[str, Any]) -> None:
        self._held = weakref.ref(widget)
        self._language: Language = options["words"]
        self._requested: Language = self._language
        self._made: dict[str, Any] = {}
        self._quiet = ""

    @property
    def _widget(self) -> Any:  # it has this object, so it is there
        return self._held()

    def of(self, states: Mapping[str, Any]) -> dict[str, Any]:
        """Traits as they are shown, and from now on known here."""
        self._made.update(states)
        return {name: self.translated(state) for name, state in states.items()}

    def translated(self, state: Any) -> Any:  # whatever a trait or a reply holds
        """With all phrases in the page's language."""
        return spoken_state(state, self._language)

    def show(self, name: str, state: Any, *, quietly: bool = False) -> None:
        """Sets a trait.

        Args:
            name: Its name.
            state: What it shall be.
            quietly: Whether pages know it already, by an event: the trait is set for those that open later, and not sent.
        """
        self._made[name] = state
        self._quiet = name if quietly else ""
        try:
            self._widget.set_trait(name, self.translated(state))
        finally:
            self._quiet = ""

    def is_quiet(self, name: str) -> bool:
        """Whether a trait is being set without being sent."""
        return name == self._quiet

    def request(self, language: str) -> None:
        """The page speaks another language; any thread.

        Raises:
            BadRequest: There are no words in it.
        """
        found = next((known for known in LANGUAGES if known == language), None)
        if found is None:
            raise BadRequest(
                "There are no words in this language.",
                expected=" or ".join(LANGUAGES),
                found=shorten(repr(language), 40),
                remedy="Ask for one of these.",
            )
        self._requested = found

    def turn(self) -> None:
        """Says all traits anew if the page asked for another language; on the outbox's thread."""
        if self._requested == self._language:
            return
        self._language = self._requested
        self._made["options"] = {**self._made["options"], "words": self._language}
        translated = {name: self.translated(state) for name, state in self._made.items()}
        # The tree comes last: with it the page is drawn anew, and reads what is told only once.
        for name in sorted(translated, key=lambda name: name == "tree_state"):
            if name in ("options", "tree_state") or translated[name] != getattr(self._widget, name):
                self._widget.set_trait(name, translated[name])
