"""Lines and letters as SVG. What they stand for is in ``still``."""

from __future__ import annotations

import math
from html import escape, unescape

from .palette import GRID, INK


def path(spots: list[tuple[float, float] | None]) -> str:
    """Moves and lines; what has no place breaks the line."""
    parts, broken = [], True
    for spot in spots:
        if spot is not None and all(map(math.isfinite, spot)):
            parts.append(f"{'M' if broken else 'L'}{spot[0]:.1f} {spot[1]:.1f}")
        broken = spot is None
    return "".join(parts)


def line(x0: float, y0: float, x1: float, y1: float, colour: str = GRID, more: str = "") -> str:
    """A straight line; ``more`` is attributes, written by this package."""
    return f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}"{more}/>'


def letters(x: float, y: float, text: str, anchor: str, size: int = 12, more: str = "") -> str:
    """A line of letters, escaped; what plotly was given escaped is not escaped twice."""
    plain = escape(unescape(str(text)))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{INK}"{more}>{plain}</text>'


def moved(part: str, down: float) -> str:
    """Finished markup, pixels further down."""
    return f'<g transform="translate(0 {down:g})">{part}</g>'
