"""A figure as one still SVG, for hosts that do not draw plotly: the HTML that nbconvert writes, GitHub, a mail. Lines, markers and
bars on linear, log and category axes; a figure with anything else has no still. No scripts, all text escaped.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from html import escape, unescape
from typing import TYPE_CHECKING, Any

from .palette import COLOURWAY, INK
from .scales import Scale, scale_of
from .svg import letters, line, moved, path

if TYPE_CHECKING:
    import plotly.graph_objects as go

_WIDTH = 760
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 28, 46
_LETTER = 6.6  # px, about the mean width of a letter at 12 px
_ROW = 20  # px, of the legend
_FEW = 20  # points
_DASHES = {"dash": "7 4", "dot": "2 4", "dashdot": "7 4 2 4", "longdash": "11 5"}
_KINDS = {"scatter", "bar"}


@dataclass(frozen=True)
class _Panel:
    """One pair of axes in pixels."""

    left: float
    right: float
    top: float
    bottom: float
    x: Scale
    y: Scale

    def spot(self, x: object, y: object) -> tuple[float, float] | None:
        across, up = self.x.at(x), self.y.at(y)
        if across is None or up is None:
            return None
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def still(figure: go.Figure) -> str | None:
    """The figure as SVG.

    Args:
        figure: Finished traces; at most one row of subplots.

    Returns:
        The markup, or None where a trace is of another kind than scatter and bar, or nothing can be shown.
    """
    shown = [t for t in figure.data if t.visible in (None, True)]
    if not shown or any(t.type not in _KINDS for t in shown):
        return None
    named, below = _legend(figure)
    height = int(figure.layout.height or 340)
    parts: list[str] = []
    for key in dict.fromkeys(t.xaxis or "x" for t in shown):
        traces = [t for t in shown if (t.xaxis or "x") == key]
        panel = _panel(figure, traces, height)
        if panel is None:
            return None
        parts += [*_frame(figure, traces, panel), *_marks(figure, traces, panel), *_rules(figure, key, panel)]
    parts += [
        letters(_LEFT + (n.x or 0) * (_WIDTH - _LEFT - _RIGHT), 16, n.text, "middle", 13)
        for n in figure.layout.annotations
        if n.xref == "paper" and n.text
    ]
    parts += [moved(part, height) for part in named]
    whole = height + below
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {whole}" width="{_WIDTH}" height="{whole}" '
        f'role="img" aria-label="{escape(summary(figure))}" font-family="system-ui,sans-serif">{"".join(parts)}</svg>'
    )


def summary(figure: go.Figure) -> str:
    """The figure in words, for those who do not see it: "loss over step: train, eval"."""
    titles = (figure.layout.yaxis.title.text, figure.layout.xaxis.title.text)
    names = ", ".join(dict.fromkeys(unescape(t.name) for t in figure.data if t.name))
    return ": ".join(part for part in (" over ".join(t for t in titles if t), names) if part) or "figure"


def _panel(figure: go.Figure, traces: list[Any], height: int) -> _Panel | None:
    across, up = _axes(figure, traces[0])
    xs, ys = [v for t in traces for v in t.x], [v for t in traces for v in t.y]
    bars = [t for t in traces if t.type == "bar"]
    flat = bool(bars) and bars[0].orientation == "h"
    if bars and _stacked(figure):
        tops: dict[object, float] = defaultdict(float)
        for t in bars:
            for name, size in zip(t.y if flat else t.x, t.x if flat else t.y, strict=False):
                tops[name] += size
        xs, ys = (list(tops.values()), ys) if flat else (xs, list(tops.values()))
    markers = any("markers" in _mode(t) for t in traces if t.type == "scatter")
    x = scale_of(xs, log=across.type == "log", from_zero=flat, room=0.05 if markers or flat else 0.0)
    y = scale_of(ys, log=up.type == "log", from_zero=bool(bars) and not flat)
    if x is None or y is None:
        return None
    start, end = across.domain or (0.0, 1.0)
    wide = _WIDTH - _LEFT - _RIGHT
    left = _LEFT + start * wide
    if y.names:
        left = max(left, 14 + _LETTER * max(map(len, y.names)))
    return _Panel(left, _LEFT + end * wide, _TOP, height - _BOTTOM, x, y)


def _axes(figure: go.Figure, trace: Any) -> tuple[Any, Any]:  # plotly objects
    number_x, number_y = (trace.xaxis or "x")[1:], (trace.yaxis or "y")[1:]
    return figure.layout[f"xaxis{number_x}"], figure.layout[f"yaxis{number_y}"]


def _stacked(figure: go.Figure) -> bool:
    return figure.layout.barmode in ("stack", "relative")


def _frame(figure: go.Figure, traces: list[Any], panel: _Panel) -> list[str]:
    """Grid, ticks, and the titles of both axes."""
    across, up = _axes(figure, traces[0])
    parts = []
    for place, text in panel.x.ticks():
        x = panel.left + place * (panel.right - panel.left)
        parts += [line(x, panel.top, x, panel.bottom), letters(x, panel.bottom + 16, text, "middle")]
    for place, text in panel.y.ticks():
        y = panel.bottom - place * (panel.bottom - panel.top)
        parts += [line(panel.left, y, panel.right, y), letters(panel.left - 6, y + 4, text, "end")]
    if across.title.text:
        parts.append(letters((panel.left + panel.right) / 2, panel.bottom + 36, across.title.text, "middle"))
    if up.title.text:
        middle = (panel.top + panel.bottom) / 2
        turned = f' transform="rotate(-90 {panel.left - 44:.1f} {middle:.1f})"'
        parts.append(letters(panel.left - 44, middle, up.title.text, "middle", more=turned))
    return parts


def _marks(figure: go.Figure, traces: list[Any], panel: _Panel) -> list[str]:
    bars = [t for t in traces if t.type == "bar"]
    parts = _bars(figure, bars, panel) if bars else []
    for trace in traces:
        if trace.type != "scatter":
            continue
        colour, spots = _colour(figure, trace), [panel.spot(x, y) for x, y in zip(trace.x, trace.y, strict=False)]
        mode = _mode(trace)
        if "lines" in mode:
            parts.append(f'<path d="{path(spots)}" fill="none" stroke="{colour}" stroke-width="2"{_dash(trace)}/>')
        if "markers" in mode:
            size = (trace.marker.size or 6) / 2
            fill = "none" if str(trace.marker.symbol).endswith("-open") else colour
            parts += [
                f'<circle cx="{s[0]:.1f}" cy="{s[1]:.1f}" r="{size:.1f}" fill="{fill}" stroke="{colour}"/>'
                for s in spots
                if s
            ]
    return parts


def _bars(figure: go.Figure, bars: list[Any], panel: _Panel) -> list[str]:
    flat, stacked = bars[0].orientation == "h", _stacked(figure)
    names = panel.y if flat else panel.x
    span = (panel.bottom - panel.top) if flat else (panel.right - panel.left)
    room = span / (len(names.names) or 1) * 0.7
    wide = room if stacked else room / len(bars)
    reached: dict[object, float] = defaultdict(float)
    parts = []
    for i, trace in enumerate(bars):
        for name, size in zip(trace.y if flat else trace.x, trace.x if flat else trace.y, strict=False):
            start = reached[name] if stacked else 0.0
            reached[name] = start + size
            one, other = (panel.spot(v, name) if flat else panel.spot(name, v) for v in (start, start + size))
            if one is None or other is None:
                continue
            (x0, y0), (x1, y1) = one, other
            off = -room / 2 + (0 if stacked else i * wide)
            box = (min(x0, x1), y0 + off, abs(x1 - x0), wide) if flat else (x0 + off, min(y0, y1), wide, abs(y1 - y0))
            parts.append('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" '.format(*box))
            parts.append(f'fill="{_colour(figure, trace)}"/>')
    return parts


def _rules(figure: go.Figure, key: str, panel: _Panel) -> list[str]:
    """Upright lines through a panel, such as the steps that were not taken."""
    parts = []
    for shape in figure.layout.shapes:
        place = panel.x.at(shape.x0) if (shape.xref or "x") == key and shape.type == "line" else None
        if place is not None:
            x = panel.left + place * (panel.right - panel.left)
            parts.append(
                line(x, panel.top, x, panel.bottom, escape(str(shape.line.color or INK)), ' stroke-dasharray="7 4"')
            )
    return parts


def _legend(figure: go.Figure) -> tuple[list[str], int]:
    """The entries from y = 0 on, and the pixels that they need."""
    entries = [t for t in figure.data if t.name and t.showlegend is not False and t.visible in (None, True)]
    if len(entries) < 2 or figure.layout.showlegend is False:
        return [], 0
    x, row, parts = float(_LEFT), 0, []
    for trace in entries:
        needed = 34 + _LETTER * len(unescape(trace.name))
        if x + needed > _WIDTH and x > _LEFT:
            x, row = float(_LEFT), row + 1
        y = row * _ROW + 8
        if trace.type == "bar":
            parts.append(f'<rect x="{x:.1f}" y="{y - 5}" width="18" height="10" fill="{_colour(figure, trace)}"/>')
        else:
            parts.append(line(x, y, x + 18, y, _colour(figure, trace), _dash(trace) + ' stroke-width="2"'))
        parts.append(letters(x + 24, y + 4, trace.name, "start"))
        x += needed
    return parts, (row + 1) * _ROW + 4


def _colour(figure: go.Figure, trace: Any) -> str:  # a plotly trace
    own = [trace.line.color] if trace.type == "scatter" else []
    given = next((c for c in (*own, trace.marker.color) if isinstance(c, str)), None)
    number = next(i for i, t in enumerate(figure.data) if t is trace)
    return escape(given or COLOURWAY[number % len(COLOURWAY)])


def _mode(trace: Any) -> str:  # a plotly trace
    # Plotly's own default: few points are marked.
    return trace.mode or ("lines+markers" if len(trace.x) < _FEW else "lines")


def _dash(trace: Any) -> str:  # a plotly trace
    dash = _DASHES.get(str(trace.line.dash))
    return f' stroke-dasharray="{dash}"' if dash else ""
