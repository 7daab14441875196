"""A history as a notebook shows it where it is the last line of a cell: a sentence, a small curve of the loss, and lines of text.
Self-contained, no scripts, all text escaped. The finished figure is in ``figures``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .history import History

_WIDTH, _HEIGHT = 320, 64
_MOST = 600  # points; more than pixels say nothing
_STYLES = {"train": 'stroke="#2b6fd6"', "eval": 'stroke="#8792a8" stroke-dasharray="5 4"'}


def sentence(history: History) -> str:
    """How far it is and where the loss went: "34 steps, loss 3.9 → 0.41, held-out 0.5"."""
    last = history.last
    if last is None:
        return "no step taken" if len(history) else "no step yet"
    taken = history.taken
    parts = [f"{taken} step{'' if taken == 1 else 's'}", f"loss {history[0].loss:.3g} → {last.loss:.3g}"]
    seen = [r.eval_loss for r in history if r.eval_loss is not None]
    if seen:
        parts.append(f"held-out {seen[-1]:.3g}")
    return ", ".join(parts)


def history_html(history: History, head: str, lines: Iterable[str] = ()) -> str:
    """The whole: a bold head, the curve where there is one, then a line of text each."""
    shown = "".join(f'<div style="white-space:pre-wrap">{escape(line)}</div>' for line in lines)
    return f'<div style="font:13px system-ui,sans-serif"><div><b>{escape(head)}</b></div>{_curve(history)}{shown}</div>'


def _curve(history: History) -> str:
    records = history[:: max(1, len(history) // _MOST)]
    columns = {
        "train": [r.loss for r in records],
        "eval": [math.nan if r.eval_loss is None else r.eval_loss for r in records],
    }
    known = [v for column in columns.values() for v in column if math.isfinite(v)]
    if len(records) < 2 or not known:
        return ""
    top, end = max(known) or 1.0, max(1, len(records) - 1)
    paths = "".join(
        f'<path d="{path}" fill="none" stroke-width="1.6" {_STYLES[name]}><title>{name} loss</title></path>'
        for name, column in columns.items()
        if (path := _path(column, end, top, skip=name == "eval"))
    )
    label = escape(sentence(history))
    return (
        f'<svg viewBox="0 -4 {_WIDTH} {_HEIGHT + 8}" width="{_WIDTH}" height="{_HEIGHT + 8}" role="img" '
        f'aria-label="{label}" style="display:block;margin:4px 0">{paths}'
        f'<path d="M0 {_HEIGHT}H{_WIDTH}" stroke="#8792a8" stroke-width="1"/></svg>'
    )


def _path(values: Sequence[float], end: int, top: float, skip: bool) -> str:
    """Moves and lines; what is no number breaks the line, unless it only means that nothing was measured (``skip``)."""
    parts: list[str] = []
    broken = True
    for i, value in enumerate(values):
        if math.isfinite(value):
            parts.append(f"{'M' if broken else 'L'}{i / end * _WIDTH:.1f} {_HEIGHT * (1 - max(0.0, value) / top):.1f}")
            broken = False
        elif not skip:
            broken = True
    return "".join(parts) if len(parts) > 1 else ""
