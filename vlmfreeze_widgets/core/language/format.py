"""Numbers and sentences as people read them: 7.06 B, 1e-3, "ViT frozen · projector full 1e-3". The page has a twin (format.ts)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .phrase import joined, say

_JOINER = "\u200d"


def count(number: float) -> str:
    """Parameters in three significant digits: 7.06 B, 61.0 M, 131.3 M, 1.25 K, 12."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(number) >= size:
            value = number / size
            return f"{value:.2f} {letter}" if abs(value) < 10 else f"{value:.1f} {letter}"
    return f"{number:.0f}"


def size(nbytes: float) -> str:
    """Bytes in decimal units: 14.1 GB, 512 kB."""
    for unit, letter in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(nbytes) >= unit:
            return f"{nbytes / unit:.1f} {letter}"
    return f"{nbytes:.0f} B"


def rate(lr: float) -> str:
    """A learning rate as people write it: 1e-3, 2e-4, 2.5e-5."""
    if lr == 0 or not math.isfinite(lr):
        return str(lr)
    mantissa, _, exponent = f"{lr:.6e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def share(part: float, whole: float) -> str:
    """A share in per cent with two significant digits: 0.86 %, 12 %, 100 %."""
    if not whole:
        return "0 %"
    percent = 100 * part / whole
    if percent == 0 or percent >= 9.95:
        return f"{percent:.0f} %"
    return f"{percent:.2g} %" if percent >= 0.001 else "<0.001 %"


def seconds(value: float) -> str:
    """A duration: 3.2 ms, 0.41 s, 12 s, 3 min 20 s."""
    if 0 < value < 0.0995:
        return f"{1000 * value:.2g} ms" if value >= 9.95e-8 else "<0.0001 ms"
    if value < 10:
        return f"{value:.2g} s"
    if value < 60:
        return f"{value:.0f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def printable(line: str) -> str:
    """A line with what is no letter in it spelled out (``\\n``, ``\\x1b``, ``\\u202e``): a name from a stranger's model can
    neither begin a line of its own, nor colour a terminal, nor turn the text around."""
    if line.isprintable():
        return line
    # The joiner holds letters and emoji together; it moves nothing.
    return "".join(c if c.isprintable() or c == _JOINER else c.encode("unicode_escape").decode() for c in line)


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind where it says nothing, as a bare assert does."""
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__


def listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(words) < 2:
        return words[0] if words else ""
    return say("{several} and {last}", several=joined(words[:-1], ", "), last=words[-1])
