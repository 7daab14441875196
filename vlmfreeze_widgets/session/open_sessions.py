"""Which sessions are open in this process: who holds a model, who takes it over, and that all of them end before Python does."""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import Any, Protocol
from weakref import WeakSet

from torch import nn

from ..core.errors import ModelBusy
from ..core.language.phrase import Phrase, say
from ..core.wire.run_state import BUSY
from ..engine.model.wrappers import unwrap

TAKEN_OVER = say("A newer Workbench took this model over.")
_STEP_SECONDS = 60.0  # how long the step of another session, or of the last one of all, may take to end


class OpenSession(Protocol):
    """What is asked of a session here."""

    @property
    def trains(self) -> Any:  # nn.Module, or None
        """The model that it may change."""

    @property
    def phase(self) -> str:
        """What it is doing."""

    @property
    def tree(self) -> Any:  # ModuleTree
        """The tree of the model as it is without a plan on it."""

    def stop(self) -> None:
        """Ends what runs, soon."""

    def release(self, why: str | None = None) -> None:
        """Ends it without waiting."""

    def close(self, timeout: float = 30.0) -> bool:
        """Ends it and waits."""


_lock = threading.Lock()
_open: WeakSet[Any] = WeakSet()


def note(session: OpenSession) -> None:
    """A session is open from now on; it is known as long as there is another reference to it."""
    with _lock:
        _open.add(session)


def holder_of(model: nn.Module) -> OpenSession | None:
    """The open session that holds a model; None where none does."""
    wanted = unwrap(model)
    with _lock:
        known = list(_open)
    return next((s for s in known if s.trains is not None and unwrap(s.trains) is wanted), None)


def take_over(older: OpenSession) -> tuple[Phrase, bool]:
    """Ends the session that holds a model, and waits until the model is as it was before.

    Returns:
        What became of that session, for the user; and whether something was lost by it.

    Raises:
        ModelBusy: Its step does not end; it stops as soon as the step does.
    """
    phase, message = older.phase, say("This model was taken over from an older Workbench.")
    if phase in BUSY:
        message = say("This model was taken over from an older Workbench; what ran there was stopped.")
    elif phase == "deciding":
        message = say("This model was taken over from an older Workbench; its undecided result was let go.")
    older.release(TAKEN_OVER)
    if not older.close(_STEP_SECONDS):
        raise ModelBusy(
            "Another Workbench is still in the middle of a step on this model.",
            expected=f"a step that ends within {_STEP_SECONDS:.0f} seconds of being stopped", found=f"the phase {phase!r}",
            remedy="Wait until the step is over, then make the Workbench again.",
        )  # fmt: skip
    return message, phase in BUSY or phase == "deciding"


def stop_all() -> None:
    """Asks everything that runs in any session to stop; returns at once. What was learnt so far can be kept as after any stop."""
    with _lock:
        known = list(_open)
    for session in known:
        if session.phase in BUSY:
            session.stop()


@atexit.register
def _end_all() -> None:
    """An interpreter that ends while torch computes on a thread aborts: every session is stopped and waited for."""
    with _lock:
        known = list(_open)
    for session in known:
        session.release()
    end = time.monotonic() + _STEP_SECONDS
    for session in known:
        session.close(max(1.0, end - time.monotonic()))


def _forked() -> None:
    """The threads stayed in the parent, with what they do: the child must neither wait for them nor write into their folders."""
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
