"""A loss curve in few numbers, for a small plot: the buffers of ``stages_state`` and ``runs_state``.

The rows of a live burst are in ``core.wire.messages``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from .history import StepRecord

MOST = 400
"""Points of one curve; more are finer than a plot's pixels."""


def curve_points(records: Sequence[StepRecord], most: int = MOST) -> bytes:
    """Step, loss and held-out loss as float64, three per point.

    Args:
        records: In order.
        most: Points at most; each step at which held-out data was evaluated is among them, as long as there is room.

    Returns:
        Missing values are NaN; a look that found no finite number is infinite, as in the rows of a burst.
    """
    count = len(records)
    looked = [i for i, record in enumerate(records) if record.eval_loss is not None]
    kept = set(_spread(looked, most // 2))
    kept |= set(_spread(range(count), most - len(kept)))
    values: list[float] = []
    for i in sorted(kept):
        record = records[i]
        seen = record.eval_loss
        values += [float(record.step), _plain(record.loss), math.nan if seen is None else _plain(seen, math.inf)]
    return struct.pack(f"<{len(values)}d", *values)


def _spread(places: Sequence[int], most: int) -> Sequence[int]:
    """At most so many of them, evenly, the first and the last among them."""
    if len(places) <= most:
        return places
    return [places[round(i * (len(places) - 1) / (most - 1))] for i in range(most)]


def _plain(value: float | None, instead: float = math.nan) -> float:
    return instead if value is None or math.isnan(value) else float(value)
