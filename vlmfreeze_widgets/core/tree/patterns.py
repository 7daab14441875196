"""Which regular expressions could take longer than anybody waits. How they are used is in ``core.tree.selectors``.

Python's matcher goes back and forth: ``(a+)+`` needs twice as long with every further letter, and each ``.*`` in a row multiplies
the time by the length of the name. Found by looking at the parsed pattern, since a match that runs cannot be stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]  # the parser behind re.compile has no other name
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_MANY = 16  # from so many repetitions on a bounded one counts as an unbounded one
_MOST = 4  # unbounded repetitions side by side


def may_explode(pattern: str) -> bool:
    """Whether a pattern repeats a repetition, or has more than four unbounded repetitions.

    Raises:
        re.error: It is no pattern.
    """
    repeats = list(_repeats(parser.parse(pattern), 0))
    return any(depth > 1 for depth in repeats) or len(repeats) > _MOST


def _repeats(parsed: Any, depth: int) -> Iterator[int]:  # the parser's own tree
    """How deep each unbounded repetition lies inside others, from 1."""
    for code, given in parsed:
        if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            _, most, inner = given
            many = most == codes.MAXREPEAT or most >= _MANY
            if many:
                yield depth + 1
            # A choice inside a repetition goes back and forth as a repetition does: (a|aa)+.
            if many and any(part is codes.BRANCH for part, _ in _flat(inner)):
                yield depth + 2
            # Twelve times ".*a" is twelve repetitions.
            for found in _repeats(inner, depth + many):
                yield from [found] * (1 if many else max(int(most), 1))
        else:
            for part in _inside(given):
                yield from _repeats(part, depth)


def _flat(parsed: Any) -> Iterator[tuple[Any, Any]]:
    for code, given in parsed:
        yield code, given
        for part in _inside(given):
            yield from _flat(part)


def _inside(given: Any) -> Iterator[Any]:
    if isinstance(given, parser.SubPattern):
        yield given
    elif isinstance(given, tuple | list):
        for part in given:
            yield from _inside(part)
