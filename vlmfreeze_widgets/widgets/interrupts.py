"""Interrupting the kernel stops what a page started, too: who presses Interrupt means whatever runs. It stops as by the button
Stop, so what was learnt can be kept.

While a cell runs, Python gets the interrupt as an exception in that cell. Between cells ipykernel ignores the signal; a handler of
ours takes its place. Other hosts, such as marimo, interrupt cells only.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from IPython import get_ipython

from ..session.open_sessions import stop_all

_watched: list[Any] = []  # the shells, of which there is one


def watch_interrupts() -> None:
    """Begins to watch; asking again does nothing. On the main thread, where a cell makes a widget."""
    shell = get_ipython()
    is_main = threading.current_thread() is threading.main_thread()
    if shell is None or not is_main or any(known is shell for known in _watched):
        return
    _watched.append(shell)
    shell.events.register("post_run_cell", _after_cell)
    kernel: Any = getattr(shell, "kernel", None)
    if getattr(kernel, "saved_sigint_handler", None) is signal.SIG_IGN:
        kernel.saved_sigint_handler = _between_cells  # what it sets again when this cell is over


def _after_cell(result: Any) -> None:  # IPython's ExecutionResult
    if isinstance(getattr(result, "error_in_exec", None), KeyboardInterrupt):
        stop_all()


def _between_cells(_: int, __: FrameType | None) -> None:
    # A signal handler must not wait for a lock that this very thread may hold.
    threading.Thread(target=stop_all, name="vlmfreeze-interrupt", daemon=True).start()
