"""How many rows fit into a memory, by asking for the peak of few sizes. Who knows the peaks is the caller's affair."""

from __future__ import annotations

from collections.abc import Callable


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
        # Memory is a straight line in the rows but for rounding and for the moment at which it is highest.
        low, high = min(tried), max(tried)
        slope = max(1.0, (at(high) - at(low)) / max(1, high - low))
        guess = int(low + (room - at(low)) / slope)
    at(good)
    return good, bad <= most


def neighbours(largest: int) -> tuple[int, int]:
    """The usual batch sizes beside a limit: the largest power of two that fits (0: none), and the next."""
    if largest < 1:
        return 0, 1
    below = 1 << (largest.bit_length() - 1)
    return below, below * 2
