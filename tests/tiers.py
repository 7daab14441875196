"""How much of a large table of cases is run: all of it by `make thorough`, by `make test` so many that each value occurs.

A failure that one value brings is found by both; one that needs two values together may be found by the first alone.
"""

import os
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

import pytest

THOROUGH = bool(os.environ.get("VLMFREEZE_THOROUGH"))
MEASURED = bool(os.environ.get("VLMFREEZE_CHECKS"))  # by `make checks`, whose figures are those of the promised sizes


def covering(*axes: Iterable[Any]) -> list[Any]:
    """The cases of several axes, as parameters: in the fast tier each value of each axis at least once, in changing company."""
    lists = [list(axis) for axis in axes]
    # Down the diagonal; where a short axis begins again, it does so one further, so that its values meet others.
    kept = {tuple((i + i // len(values)) % len(values) for values in lists) for i in range(max(map(len, lists)))}
    cases = product(*(enumerate(values) for values in lists))
    return [_case([v for _, v in case], tuple(i for i, _ in case) in kept) for case in cases]


def some(cases: Sequence[Any], every: int) -> list[Any]:
    """Of one long axis every so many, where all cases take the same way through the code. A tuple is several arguments."""
    return [_case(case if isinstance(case, tuple) else (case,), i % every == 0) for i, case in enumerate(cases)]


def size(fast: int, promised: int) -> int:
    """How large a subject is, or how often something is done: as promised where that is measured, else enough to see a fault."""
    return promised if THOROUGH or MEASURED else fast


def examples(thorough: int) -> int:
    """Hypothesis's ``max_examples``: a twelfth, and at least ten, in the fast tier; twenty at most for `make quick`."""
    if THOROUGH:
        return thorough
    return min(thorough, max(10, thorough // 12), 20 if os.environ.get("VLMFREEZE_QUICK") else thorough)


def _case(values: Iterable[Any], kept: bool) -> Any:  # pytest's own type is private
    return pytest.param(*values, marks=() if kept else pytest.mark.thorough)
