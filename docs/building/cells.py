"""Markdown that generated parts are made of: cells that cannot break a table, tables, anchors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """A text as it stands in a cell: no bar, no line break, no markup of its own."""
    escaped = str(text).replace("&", "&amp;").replace("<", "&lt;").replace("*", "&#42;").replace("|", "&#124;")
    return " ".join(escaped.split())


def code(text: object) -> str:
    """A text in code's type, in a cell."""
    return f"`{str(text).replace('|', '&#124;')}`" if str(text) else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A table; the cells are Markdown already.

    Args:
        head: The titles of the columns.
        rows: Their cells.
        right: Columns, counted from 0, whose numbers stand at the right.
    """
    edges = set(right)
    rule = ["--:" if i in edges else "---" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows]) + "\n"


def anchor(title: str) -> str:
    """The anchor that a heading gets."""
    kept = re.sub(r"[^\w\s-]", "", title.strip().lower())
    return re.sub(r"[-\s]+", "-", kept)
