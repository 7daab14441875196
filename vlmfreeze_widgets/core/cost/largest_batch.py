"""How many rows fit into a memory, by asking for the peak of few sizes. Who knows the peaks is the caller's affair."""

from __future__ import annotations

from collections.abc import Callable

_LINES = 8  # sizes that are found along lines; each may take a trace


class Peaks:
    """Known peaks, and beyond those the straight line through the two largest of them.

    A model may ask its pictures for values that only small batches have while they are traced (SmolVLM: which are padding).

    Args:
        ask: Rows -> bytes; None where it is unknown. One row must be known.

    Attributes:
        known: Rows -> bytes, of all that were asked for and known.
    """

    def __init__(self, ask: Callable[[int], int | None]) -> None:
        self._ask = ask
        self._unknown: int | None = None
        self.known: dict[int, int] = {}

    def __call__(self, rows: int) -> int:
        """The peak of so many rows."""
        if rows in self.known:
            return self.known[rows]
        if self._unknown is None or rows < self._unknown:
            found = self._ask(rows)
            if found is not None:
                self.known[rows] = found
                return found
            self._unknown = rows
        return self._beyond(rows)

    def _beyond(self, rows: int) -> int:
        *_, (low, small), (high, large) = [(0, 0), *sorted(self.known.items())]
        return large + round((rows - high) * (large - small) / (high - low))


def largest_rows(peak: Callable[[int], int], room: int, most: int = 4096) -> tuple[int, bool]:
    """The largest number of rows whose peak is within ``room``.

    Args:
        peak: Rows -> bytes; grows with the rows.
        room: Bytes.
        most: Rows at most.

    Returns:
        Rows (0 where not even one fits), and whether one row more was found not to fit.
    """
    tried: dict[int, int] = {}

    def at(rows: int) -> int:
        if rows not in tried:
            tried[rows] = peak(rows)
        return tried[rows]

    if at(1) > room:
        return 0, True
    good, bad, guess = 1, most + 1, 2
    while bad - good > 1:
        guess = min(max(guess, good + 1), bad - 1)
        if at(guess) <= room:
            good = guess
        else:
            bad = guess
        # Memory is a straight line in the rows but for rounding and for the moment at which it is highest: flat while that is the
        # optimizer's step. Between two sizes on either side of the room the line soon is the right one; halves bound the rest.
        low, high = (good, bad) if bad in tried else (1, good)
        slope = max(1.0, (at(high) - at(low)) / (high - low))
        guess = int(low + (room - at(low)) / slope) if len(tried) < _LINES else (good + bad) // 2
    at(good)
    return good, bad <= most


def neighbours(largest: int) -> tuple[int, int]:
    """The usual batch sizes beside a limit: the largest power of two that fits (0: none), and the next."""
    if largest < 1:
        return 0, 1
    below = 1 << (largest.bit_length() - 1)
    return below, below * 2
