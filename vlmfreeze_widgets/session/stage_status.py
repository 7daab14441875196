"""The statuses of one stage of a session as a state machine: one table of what follows which event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from ..core.errors import WrongPhase
from ..core.wire.stages_state import StageStatus

StageEvent = Literal["reset", "start", "finish", "stop", "fail", "keep", "discard"]

AFTER: Final[Mapping[tuple[StageStatus, StageEvent], StageStatus]] = {
    # Its burst begins. What a stopped or failed one left undecided is dropped.
    ("coming", "start"): "running",
    ("stopped", "start"): "running",
    ("failed", "start"): "running",
    # Its burst took every step, and the weights are on the model.
    ("running", "finish"): "done",
    # Its burst ended before that, by request or for lack of batches; what it learnt waits for a decision.
    ("running", "stop"): "stopped",
    # It raised an error; what it learnt before, if anything, waits for a decision.
    ("running", "fail"): "failed",
    # The decision on what was learnt before the end.
    ("stopped", "keep"): "done",
    ("failed", "keep"): "done",
    ("stopped", "discard"): "coming",
    ("failed", "discard"): "coming",
    # All stages start anew, on the weights that are kept or restored.
    ("coming", "reset"): "coming",
    ("failed", "reset"): "coming",
    ("done", "reset"): "coming",
}
"""(status, event) -> the status that follows. A pair that is missing is refused."""

STEPS_FIXED: Final[frozenset[StageStatus]] = frozenset({"running", "done"})
"""Statuses in which the number of steps cannot be changed any more while stages are under way."""


def after(status: StageStatus, event: StageEvent) -> StageStatus:
    """The status that follows an event.

    Raises:
        WrongPhase: The event does not belong to the status.
    """
    if (status, event) not in AFTER:
        expected = " or ".join(repr(before) for before, of in AFTER if of == event)
        raise WrongPhase(
            f"The event {event!r} does not belong to a stage that is {status!r}.",
            expected=f"a stage that is {expected}",
            found=repr(status),
            remedy="Look at bench.staged: it says how far each stage is.",
        )
    return AFTER[status, event]
