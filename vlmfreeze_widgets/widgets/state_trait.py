"""The trait that holds a state of a page: plain JSON types and bytes whatever is put in, so that every host encodes it alike."""

from __future__ import annotations

from typing import Any

import traitlets

from ..core.plain import plain


class State(traitlets.Dict):
    """A synced dict. What is set is copied into plain types (``core.plain``) before anybody sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.tag(sync=True)

    def validate(self, obj: Any, value: Any) -> Any:  # noqa: ANN401 - the signature of traitlets
        """The value in plain types.

        Raises:
            TraitError: It is no dict.
        """
        return super().validate(obj, plain(value))


def to_json(value: object, _: object) -> Any:  # noqa: ANN401 - plain data
    """How every other trait leaves, those of ipywidgets itself included: the ``_trait_to_json`` of our widgets."""
    return plain(value)
