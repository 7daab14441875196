"""The moments of a burst at which other parts of a session act, as a value: one function per moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..core.history.history import StepRecord
from ..core.wire.run_state import Phase
from ..engine.burst.burst import Burst
from ..engine.burst.result import BurstResult
from .obstacle import Obstacle


def _nothing(*_: object) -> None:
    return None


def _unchanged(_: BurstResult, phase: Phase) -> Phase:
    return phase


@dataclass(frozen=True)
class BurstHooks:
    """What one part of a session does with each burst. The runner calls the hooks of all parts in a fixed order.

    Attributes:
        obstacle: What stands in the way of a burst, if anything; under the lock.
        starting: Before a burst is started by ``run`` or from a checkpoint; may refuse it by raising; under the lock.
        made: The burst was made, and takes its first step next.
        stepped: After each optimizer step, before the status shows it.
        between: Between two steps, and now and then while the burst is paused.
        over: The burst is over, its result is not shown yet; under the lock.
        phase_after: The phase that follows, from the result and the phase so far; under the lock.
        ended: All of it is done, with the error that the burst raised, or None.
        decided: The result was kept or discarded ("kept", "discarded").

    All but the first two are called on the worker thread.
    """

    obstacle: Callable[[], Obstacle | None] = _nothing
    starting: Callable[[], None] = _nothing
    made: Callable[[Burst], None] = _nothing
    stepped: Callable[[StepRecord, Burst], None] = _nothing
    between: Callable[[Burst], None] = _nothing
    over: Callable[[Burst, BurstResult], None] = _nothing
    phase_after: Callable[[BurstResult, Phase], Phase] = _unchanged
    ended: Callable[[BaseException | None], None] = _nothing
    decided: Callable[[BurstResult, str], None] = _nothing
