"""The figure of this package: plotly's own, readable on light and dark pages, with a still for hosts without plotly."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from .palette import COLOURWAY, GRID, INK
from .still import still

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
    """A plotly figure that can be read on light and on dark pages and that stays when nobody draws plotly.

    Beside plotly's own form it gives notebooks a still SVG of its lines, markers and bars. JupyterLab shows the live figure;
    the HTML that ``jupyter nbconvert`` writes, and GitHub, show the still. A figure with other kinds of traces has no still.

    Args:
        args: As for ``plotly.graph_objects.Figure``.
        kwargs: As for ``plotly.graph_objects.Figure``.
    """

    # IPython asks this first, and plotly's answer would show its own form alone.
    _ipython_display_ = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - plotly's own
        super().__init__(*args, **kwargs)
        # A template that somebody chose, for this figure or for all, stays.
        if pio.templates.default == "plotly" and self.layout.template == pio.templates["plotly"]:
            self.layout.template = TEMPLATE

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - IPython's protocol
        bundle = dict(super()._repr_mimebundle_(*args, **kwargs))
        drawn = still(self)
        return bundle if drawn is None else {**bundle, "image/svg+xml": drawn}
