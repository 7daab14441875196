"""Boards as rich tables, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from ..core.comparison.board import Board


def board_table(board: Board) -> Table:
    """A row per contender, the sentence above, the notes below; nothing in it is read as markup."""
    from rich.table import Table
    from rich.text import Text

    from ..core.comparison.text import cells, footnotes

    heads, rows = cells(board)
    table = Table(box=None, pad_edge=False, title=Text(board.sentence, style="bold"), title_justify="left")
    table.caption, table.caption_justify = Text("\n".join(footnotes(board))), "left"
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i in (1, 3) else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
