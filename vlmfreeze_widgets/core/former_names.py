"""Names that public attributes had in earlier releases: they go on working, and code outside the package may hold them."""

from __future__ import annotations

from typing import Any


class FormerName:
    """A class attribute that reads another attribute of the same object.

    Args:
        now: The present name of the attribute or method.
    """

    def __init__(self, now: str) -> None:
        self.now = now

    def __get__(self, owner: object, kind: type | None = None) -> Any:  # whatever the present name gives
        return getattr(kind if owner is None else owner, self.now)
