"""The treemap alone: a tree, a strategy, no burst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.arguments import checked, maybe
from ..core.strategy.accepted import STRATEGY
from ..core.strategy.strategy import Strategy
from ..session import BurstSettings, Session
from .page import SessionPage
from .page_options import page_options


class FreezeMap(SessionPage):
    """The map of a model, on which a strategy can be set.

    Args:
        source: A tree, or whatever ``read_tree`` reads.
        strategy: What is set; by default the projector alone.
        height: In CSS pixels.
        theme: "auto" follows the host; or "light", "dark".
        language: "en" or "zh"; "auto" follows the host. By default what VLMFREEZE_LANGUAGE names, else "auto".
        tour: Whether a first visit is offered a tour; by default it is, unless VLMFREEZE_TOUR is 0.
        **settings: Fields of ``BurstSettings`` that the memory shown rests on, such as ``optimizer="sgd"``.

    Examples:
        >>> vf.FreezeMap(vf.read_tree(model))
    """

    @checked(lambda: BurstSettings.__dataclass_fields__, strategy=maybe(STRATEGY))
    def __init__(
        self,
        source: Any,  # whatever read_tree reads
        strategy: Strategy | Mapping[str, object] | None = None,
        *,
        height: int = 430,
        theme: str = "auto",
        language: str | None = None,
        tour: bool | None = None,
        **settings: Any,  # fields of BurstSettings
    ) -> None:
        if strategy is not None and not isinstance(strategy, Strategy):
            strategy = Strategy(strategy)
        options = page_options(height, theme, language, tour)
        super().__init__(Session(source, None, strategy, settings=BurstSettings(**settings)), "freezemap", options)

    def close(self) -> None:
        """Takes the widget off every page and releases the model."""
        if (session := getattr(self, "session", None)) is not None:
            session.release()
        super().close()
