"""The figure of this package: plotly's own, readable on light and dark pages, with a still for hosts without plotly."""

from __future__ import annotations

import json
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from .palette import COLOURWAY, GRID, INK
from .static_svg import still, summary

LIVE, SVG = "application/vnd.plotly.v1+json", "image/svg+xml"
_AXIS = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
TEMPLATE = go.layout.Template(
    layout={
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK},
        "colorway": COLOURWAY,
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hoverlabel": {"bgcolor": "#2b3242", "font": {"color": "#f2f4f8"}},
        "margin": {"l": 60, "r": 20, "t": 28, "b": 46},
        "height": 340,
    }
)


class Figure(go.Figure):
    """A plotly figure that can be read on light and on dark pages and that stays where plotly is not drawn.

    Beside plotly's own form it gives notebooks a still SVG of its lines, markers and bars. JupyterLab shows the live figure;
    the HTML that ``jupyter nbconvert`` writes, and GitHub, show the still.
    Neither fetches anything. A figure with other kinds of traces has no still.

    Args:
        args: As for ``plotly.graph_objects.Figure``.
        kwargs: As for ``plotly.graph_objects.Figure``.
    """

    # IPython would ask these too, and get HTML that fetches plotly from a CDN or brings its 4.5 MB.
    _ipython_display_ = None
    _repr_html_ = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # plotly's own
        super().__init__(*args, **kwargs)
        # A template that somebody chose, for this figure or for all, stays.
        if pio.templates.default == "plotly" and self.layout.template == pio.templates["plotly"]:
            self.layout.template = TEMPLATE

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        drawn = still(self)
        live = {LIVE: json.loads(self.to_json())}
        return (live, {}) if drawn is None else ({**live, SVG: drawn}, {SVG: {"alt": summary(self)}})
