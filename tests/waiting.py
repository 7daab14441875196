"""Waiting for what another thread, process or page brings: long enough for the slowest machine, and no longer than needed.

No test of ``make test`` holds a limit of time that a slow machine could miss: what matters is that it happens. How long it took is
a ``figure``, judged by ``make checks`` (``tests.checks.report``) and by the benchmarks.
"""

import time
from collections.abc import Callable
from typing import Any

PATIENCE = 120.0
"""Seconds after which nobody believes any more that it happens."""


def until(condition: Callable[[], object], what: object = "it", seconds: float = PATIENCE, every: float = 0.005) -> Any:
    """What the condition answers as soon as the condition holds; fails, and says what did not happen, when it never does."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what() if callable(what) else what} did not happen in {seconds} s"
        time.sleep(every)
    return found


def settled(read: Callable[[], Any], still: float = 0.3) -> Any:
    """What ``read`` gives once it has stayed the same for so many seconds; what a step that is being taken adds comes before."""
    found, since = read(), time.monotonic()

    def is_still() -> bool:
        nonlocal found, since
        if (now := read()) != found:
            found, since = now, time.monotonic()
        return time.monotonic() - since >= still

    until(is_still, "standing still", every=0.01)
    return found
