"""The board of a comparison in a report: its table, what each contender trains, and the curves of the losses as a drawing."""

from __future__ import annotations

import math
from html import escape

from ..core.comparison.board import Board
from ..core.comparison.text import cells, footnotes

_WIDTH, _HEIGHT, _LEFT = 760, 220, 46
_COLOURS = 8


def board_section(board: Board) -> str:
    """The whole, as markup; every text is escaped."""
    heads, rows = cells(board)
    trained = [[entry.name, entry.sentence] for entry in board.entries]
    notes = "".join(f"<p class='vf-muted'>{escape(line)}</p>" for line in footnotes(board))
    return (
        f"<section><h2>Board</h2>{_table(heads, rows)}{notes}</section>"
        f"<section><h2>{escape(board.measured.capitalize())} over the steps</h2>{_curves(board)}</section>"
        f"<section><h2>What each trains</h2>{_table(['contender', 'what'], trained)}</section>"
    )


def _table(heads: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th scope='col'>{escape(head)}</th>" for head in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _curves(board: Board) -> str:
    """One line per contender, linear, from 0; numbers that are not finite break the line."""
    curves = {entry.name: board.curve(entry.name) for entry in board.entries}
    points = [(step, loss) for curve in curves.values() for step, loss in curve.items() if math.isfinite(loss)]
    if not points:
        return "<p class='vf-muted'>No loss was measured on the way.</p>"
    last, top = max(step for step, _ in points) or 1, max(loss for _, loss in points) or 1.0
    width = _WIDTH - _LEFT

    def at(step: int, loss: float) -> str:
        return f"{_LEFT + step / last * width:.1f} {_HEIGHT * (1 - max(0.0, loss) / top):.1f}"

    shapes, names = [], []
    for i, (name, curve) in enumerate(curves.items()):
        colour = f"var(--vf-series-{i % _COLOURS + 1})"
        path, broken = "", True
        for step, loss in sorted(curve.items()):
            if math.isfinite(loss):
                path += f"{'M' if broken else 'L'}{at(step, loss)}"
            broken = not math.isfinite(loss)
        shapes.append(
            f"<path d='{path}' fill='none' stroke='{colour}' stroke-width='1.8'><title>{escape(name)}</title></path>"
        )
        names.append(f"<li><b style='color:{colour}'>━</b> {escape(name)}</li>")
    ticks = "".join(
        f"<path d='M{_LEFT} {_HEIGHT * (1 - part):.1f}H{_WIDTH}' stroke='var(--vf-grid)'/>"
        f"<text x='{_LEFT - 6}' y='{_HEIGHT * (1 - part) + 4:.1f}' text-anchor='end'>{top * part:.3g}</text>"
        for part in (0, 0.5, 1)
    )
    return (
        f"<svg viewBox='0 -10 {_WIDTH} {_HEIGHT + 32}' width='100%' role='img' font-size='11' fill='currentColor' "
        f"aria-label='{escape(board.sentence)}'>{ticks}{''.join(shapes)}"
        f"<text x='{_LEFT}' y='{_HEIGHT + 16}'>0</text>"
        f"<text x='{_WIDTH}' y='{_HEIGHT + 16}' text-anchor='end'>step {last}</text></svg><ul>{''.join(names)}</ul>"
    )
