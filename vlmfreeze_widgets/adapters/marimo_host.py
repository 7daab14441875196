"""marimo as the host of a widget: how it shows one, and where its notebook keeps names. Nothing here imports marimo by itself."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any


def element(widget: Any) -> Any:  # mo.ui.anywidget
    """What marimo shows for a widget. Made anew each time: marimo's own cache of them never releases a widget (0.25)."""
    import marimo

    return marimo.ui.anywidget(widget)


def names() -> MutableMapping[str, Any] | None:
    """The names of the notebook that runs on this thread, which marimo clears when its session ends; None outside of marimo."""
    if "marimo" not in sys.modules:
        return None
    try:
        from marimo._runtime.context import get_context

        found = get_context().globals
    except Exception:  # no notebook runs here, or another release keeps them elsewhere
        return None
    return found if isinstance(found, MutableMapping) else None
