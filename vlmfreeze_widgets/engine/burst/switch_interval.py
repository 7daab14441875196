"""How often Python's threads take turns while a burst runs. Which thread does what is not decided here."""

from __future__ import annotations

import sys
import threading
from types import TracebackType

# A cell that computes in pure Python holds the interpreter for 5 ms before it lets go, and torch lets go at every
# operation: measured on two cores, a Stop that takes 0.1 s beside an idle kernel took 4 s beside such a cell.
TURN_SECONDS = 0.0005


class _ShortTurns:
    """Shortens the interpreter's switch interval; what was found is set again when the last one leaves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._found = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._found = sys.getswitchinterval()
                sys.setswitchinterval(min(self._found, TURN_SECONDS))
            self._inside += 1

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                sys.setswitchinterval(self._found)


short_turns = _ShortTurns()
"""``with short_turns:`` around a burst, from any number of threads."""
