"""The treemap alone: a tree, a strategy, no burst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.strategy import Strategy
from ..session import Session
from .page import SessionPage


class FreezeMap(SessionPage):
    """The map of a model, on which a strategy can be set.

    Args:
        source: A tree, or whatever ``read_tree`` reads.
        strategy: What is set; by default the projector alone.
        height: In CSS pixels.
        theme: "auto" follows the host; or "light", "dark".

    Examples:
        >>> vf.FreezeMap(vf.read_tree(model))
    """

    def __init__(
        self,
        source: Any,  # noqa: ANN401 - whatever read_tree reads
        strategy: Strategy | Mapping[str, object] | None = None,
        *,
        height: int = 430,
        theme: str = "auto",
    ) -> None:
        if strategy is not None and not isinstance(strategy, Strategy):
            strategy = Strategy(strategy)
        super().__init__(Session(source, None, strategy), "freezemap", {"height": height, "theme": theme})
