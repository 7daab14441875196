"""An error and all that it was raised from. Which of them means what is judged in ``out_of_memory`` and ``lost_device``."""

from __future__ import annotations

from collections.abc import Iterator


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and contexts, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        e = waiting.pop()
        if e is not None and id(e) not in seen:
            seen.add(id(e))
            yield e
            waiting += [e.__cause__, e.__context__]
