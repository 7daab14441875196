"""Finished figures by plotly: a history's loss and gradient norms, a board's curves and front. Live plots are the page's own."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ..core.comparison.board import Board
from ..core.history.history import History
from ..core.tree.components import LABELS
from .palette import COLOURWAY

if TYPE_CHECKING:
    import plotly.graph_objects as go

COLOURS = {
    "vision_tower": "#7a5cd6",
    "projector": "#d97a1f",
    "language_model": "#1f9d7a",
    "embeddings": "#2f6fde",
    "head": "#c43d6b",
    "audio_tower": "#8a7a1f",
    "audio_projector": "#1f8fa8",
    "other": "#6b7280",
}


def history_figure(history: History) -> go.Figure:
    """Loss (train, eval) on the left, pre-clip gradient norm per component, log, on the right."""
    from plotly.subplots import make_subplots

    from .themed import Figure

    figure = make_subplots(
        rows=1, cols=2, figure=Figure(), subplot_titles=("loss", "gradient norm per component, before clipping")
    )
    columns = history.columns
    steps = columns["step"]
    figure.add_scatter(
        x=steps, y=columns["loss"], name="train", mode="lines", line={"color": COLOURWAY[0]}, row=1, col=1
    )
    for record in history:
        if not record.taken:
            figure.add_vline(x=record.step, line={"color": "#c43d6b", "dash": "dash"}, row="all", col="all")
    evaluated = [(s, v) for s, v in zip(steps, columns["eval_loss"], strict=True) if v is not None]
    if evaluated:
        figure.add_scatter(
            x=[s for s, _ in evaluated], y=[v for _, v in evaluated], name="eval", mode="lines",
            line={"color": COLOURWAY[0], "dash": "dot"}, row=1, col=1,
        )  # fmt: skip
    for component in history.layout.component_names:
        figure.add_scatter(
            x=steps, y=columns[f"grad_norm/{component}"], name=LABELS.get(component, component), mode="lines",
            line={"color": COLOURS.get(component, "#6b7280")}, row=1, col=2,
        )  # fmt: skip
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(type="log", row=1, col=2)
    figure.update_layout(height=320, margin={"l": 50, "r": 20, "t": 40, "b": 40})
    return figure


def board_figure(board: Board) -> go.Figure:
    """Loss over steps (mean over seeds) on the left; loss against memory on the right, diamonds on the Pareto front.

    Where no memory is known, the right side is against trainable parameters.
    """
    from plotly.subplots import make_subplots

    from .themed import Figure

    has_memory = any(e.memory_bytes for e in board.entries)
    across = "peak memory, MB" if has_memory else "trainable parameters"
    figure = make_subplots(
        rows=1, cols=2, figure=Figure(), subplot_titles=(board.measured, f"{board.measured} against {across}")
    )
    for i, entry in enumerate(board.entries):
        colour, name = COLOURWAY[i % len(COLOURWAY)], escape(entry.name)
        curve = board.curve(entry.name)
        figure.add_scatter(
            x=list(curve), y=list(curve.values()), name=name, mode="lines+markers", line={"color": colour},
            legendgroup=str(i), row=1, col=1,
        )  # fmt: skip
        on_front = entry.name in board.front
        figure.add_scatter(
            x=[(entry.memory_bytes or 0) / 1e6 if has_memory else entry.trainable_params], y=[board.loss(entry.name)],
            name=name, mode="markers", showlegend=False, legendgroup=str(i), row=1, col=2,
            marker={"color": colour, "size": 13 if on_front else 9, "symbol": "diamond" if on_front else "circle-open"},
        )  # fmt: skip
    figure.update_xaxes(title_text="step", row=1, col=1)
    figure.update_xaxes(title_text=across, row=1, col=2)
    figure.update_layout(height=360, margin={"l": 50, "r": 20, "t": 40, "b": 40})
    return figure
