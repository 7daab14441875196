"""The trait that holds a state of a page: plain JSON types and bytes whatever is put in, so that every host encodes it alike.

The declaration of such a trait is its row of the table: what it shows of a session, and when that is out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import traitlets

from ..core.plain import plain

if TYPE_CHECKING:
    from ..session import Session

Shown = Callable[["Session"], Mapping[str, Any]]
Version = Callable[["Session"], object]


class State(traitlets.Dict):
    """A synced dict. What is set is copied into plain types (``core.plain``) before anybody sees it.

    Args:
        shown: What it shows of a session. Without it the widget sets it by itself.
        version: Changes when what it shows may have changed: a value, compared by identity (numbers and texts by value), or a tuple
            of such. Without it the trait is set once, and by the widget later on.
    """

    def __init__(self, shown: Shown | None = None, version: Version | None = None) -> None:
        super().__init__()
        self.shown = shown
        self.version = version
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> Any:  # the signature of traitlets
        """The value in plain types.

        Raises:
            TraitError: It is no dict.
        """
        return super().validate(obj, plain(value))


class ShownStates:
    """The states of one widget that follow its session: all rows of its table, in the order in which they are declared.

    Args:
        widget: The class of the widget; a class that it comes from is read first.
        session: That is shown.
    """

    def __init__(self, widget: type, session: Session) -> None:
        self._session = session
        declared = (item for cls in reversed(widget.__mro__) for item in vars(cls).items())
        self._traits = {name: trait for name, trait in declared if isinstance(trait, State) and trait.shown is not None}
        self._versions: dict[str, tuple[object, ...]] = {}

    def first(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Name and state of all of them, for a widget that is made."""
        return map(self._taken, self._traits)

    def changed(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Name and state of those whose version is another one than when they were taken last, each made when asked for."""
        return (self._taken(name) for name in self._traits if _is_other(self._versions[name], self._version(name)))

    def _taken(self, name: str) -> tuple[str, Mapping[str, Any]]:
        # The version first: what changes while the state is made is shown the next time.
        self._versions[name] = self._version(name)
        shown = self._traits[name].shown
        assert shown is not None
        return name, shown(self._session)

    def _version(self, name: str) -> tuple[object, ...]:
        version = self._traits[name].version
        found = None if version is None else version(self._session)
        return found if isinstance(found, tuple) else (found,)


def _is_other(before: tuple[object, ...], now: tuple[object, ...]) -> bool:
    by_value = (int, str)
    return any(
        a is not b and not (isinstance(a, by_value) and isinstance(b, by_value) and a == b)
        for a, b in zip(before, now, strict=True)
    )


def to_json(value: object, _: object) -> Any:  # plain data
    """How every other trait leaves, those of ipywidgets itself included: the ``_trait_to_json`` of our widgets."""
    return plain(value)
