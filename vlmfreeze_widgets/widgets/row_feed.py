"""Numbered rows and paint events of a burst, sent by a widget. Which rows the page misses is known here; when to send is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.history.history import History
from ..core.plain import plain
from ..core.tree.tree import ModuleTree
from ..core.wire.messages import ROW_COLUMNS, paint_message, row_values, rows_message

Send = Callable[[dict[str, Any], list[bytes]], None]
_ROWS_PER_MESSAGE = 2000  # a snapshot of a long burst goes in pieces


class RowFeed:
    """Sends each row of a burst once, and again from where a page asks.

    Args:
        send: Sends a custom message with buffers on the view's model.
    """

    def __init__(self, send: Send) -> None:
        self._send: Send = lambda message, buffers: send(plain(message), buffers)
        self._burst = 0
        self._sent = 0
        self._painted = self._ratios = 0

    def rewind(self, burst: int, first: int) -> None:
        """A page has only the rows below ``first``."""
        if burst == self._burst:
            self._sent = max(0, min(self._sent, first))
            self._painted = self._ratios = 0

    def feed(
        self,
        burst: int,
        history: History,
        lr_names: Sequence[str],
        norm_names: Sequence[str],
        run: Mapping[str, Any],
        tree: ModuleTree | None = None,
    ) -> bool:
        """Sends what is new since the last time, in one message as a rule: rows, and with them the state of the run and the paint.

        Args:
            burst: Its number.
            history: With all records so far.
            lr_names: Components with a rate.
            norm_names: Components with a gradient norm.
            run: The trait ``run_state`` as the page shall know it with these rows.
            tree: Whose nodes are painted with the last gradient norm and update ratio; None where there is no map.

        Returns:
            Whether ``run`` went with the rows; else there were none.
        """
        if burst != self._burst:
            self._burst, self._sent, self._painted, self._ratios = burst, 0, 0, 0
        width = len(ROW_COLUMNS) + len(lr_names) + len(norm_names)
        end = len(history)
        paints = [] if tree is None else self._paints(burst, history, tree)
        if self._sent >= end:
            for message, buffer in paints:
                self._send(message, [buffer])
            return False
        while self._sent < end:
            piece = history[self._sent : min(end, self._sent + _ROWS_PER_MESSAGE)]
            rows = [row_values(record, lr_names, norm_names) for record in piece]
            message, buffer = rows_message(burst, self._sent, rows, width)
            self._sent += len(piece)
            buffers = [buffer]
            if self._sent == end:
                message |= {"run": run, "paints": [paint for paint, _ in paints]}
                buffers += [values for _, values in paints]
            self._send(message, buffers)
        return True

    def _paints(self, burst: int, history: History, tree: ModuleTree) -> list[tuple[dict[str, Any], bytes]]:
        """The last gradient norm and the last update ratio of every node, if not sent yet."""
        if not history or self._painted == len(history):
            return []
        record = history[-1]
        values = [record.grad_norms.get(node.path, math.nan) for node in tree.nodes]
        made = [paint_message(burst, record.step, values)]
        self._painted = len(history)
        measured = next((r for r in reversed(history[self._ratios :]) if r.updates is not None), None)
        if measured is not None:
            ratios = measured.update_ratios
            values = [ratios.get(node.path, math.nan) for node in tree.nodes]
            made.append(paint_message(burst, measured.step, values, "update_ratio"))
        self._ratios = len(history)
        return made
