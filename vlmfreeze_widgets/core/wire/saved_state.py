"""What a session has saved, as values, and what the page is shown of it: the trait ``saved_state`` (tests/wire/README.md).
Who writes and reads the folders is ``engine.burst.checkpoint``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from .messages import VERSION

_SHOWN = 50  # states; the newest


@dataclass(frozen=True)
class SavedState:
    """A burst on the disk that can go on.

    Attributes:
        name: Of its folder, below the folder of all states.
        step: The last that was taken.
        seconds: When it was saved, since 1970.
        bytes: Of its files.
    """

    name: str
    step: int
    seconds: float
    bytes: int


@dataclass(frozen=True)
class Written:
    """What was written last.

    Attributes:
        kind: "state" can go on later; "result" is what a burst that is over left.
        path: Where it lies.
        step: The last that was taken.
    """

    kind: Literal["state", "result"]
    path: str
    step: int


@dataclass(frozen=True)
class Saving:
    """One look at what was saved.

    Attributes:
        folder: Everything is written below it.
        written: Last in this session; None before.
        states: That can go on, the newest last; None until requested.
        waiting: Whether the state is to be saved after the step that is being taken.
    """

    folder: str
    written: Written | None = None
    states: tuple[SavedState, ...] | None = None
    waiting: bool = False


def saved_state(saving: Saving) -> dict[str, Any]:
    """The trait ``saved_state``."""
    states = None if saving.states is None else [asdict(state) for state in reversed(saving.states[-_SHOWN:])]
    return {
        "v": VERSION,
        "folder": saving.folder,
        "written": None if saving.written is None else asdict(saving.written),
        "states": states,
        "waiting": saving.waiting,
    }
