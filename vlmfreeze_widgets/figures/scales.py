"""Scales of a still: where a value lies between the two ends of an axis, and which values have a tick. Nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_TICKS = 6  # about so many on a linear axis
_DECADES = 6  # more than these and a log axis names only every second one, or third


@dataclass(frozen=True)
class Scale:
    """One axis: linear, log, or of categories (then ``names`` is not empty, and a value is its number).

    Attributes:
        low: The value at the start; on a log axis its base-10 logarithm.
        high: The same at the end.
        log: Whether the axis is logarithmic.
        names: The categories in their order.
    """

    low: float
    high: float
    log: bool = False
    names: tuple[str, ...] = ()

    def at(self, value: object) -> float | None:
        """The place of a value, 0 at the start and 1 at the end; None for what has no place, such as 0 on a log axis."""
        number = _number(
            value if not self.names else self.names.index(str(value)) if str(value) in self.names else None
        )
        if number is None or (self.log and number <= 0):
            return None
        return ((math.log10(number) if self.log else number) - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Place and text of each tick."""
        if self.names:
            values: Sequence[object] = self.names
            return [(place, str(v)) for v in values if (place := self.at(v)) is not None]
        found = [(self.at(v), f"{v:g}") for v in (_log_ticks if self.log else _linear_ticks)(self.low, self.high)]
        return [(place, text) for place, text in found if place is not None and -1e-9 <= place <= 1 + 1e-9]


def scale_of(
    values: Iterable[object], *, log: bool = False, from_zero: bool = False, room: float = 0.05
) -> Scale | None:
    """The scale that shows all values.

    Args:
        values: Numbers, or texts, which make it an axis of categories. What is not finite, or
            not positive on a log axis, is left out.
        log: Whether it is logarithmic.
        from_zero: Whether 0 has to be on it, as for bars.
        room: The share of the span that is left free at each end (at the end that is 0, none).

    Returns:
        The scale, or None where no value can be shown.
    """
    values = list(values)
    names = tuple(dict.fromkeys(v for v in values if isinstance(v, str)))
    if names:
        return Scale(-0.5, len(names) - 0.5, names=names)
    known = [n for v in values if (n := _number(v)) is not None and (n > 0 or not log)]
    if not known:
        return None
    if log:
        known = [math.log10(n) for n in known]
    elif from_zero:
        known.append(0.0)
    low, high = min(known), max(known)
    span = (high - low) or abs(high) or 1.0
    bottom = low if from_zero and low == 0 else low - room * span
    return Scale(bottom, high + (room * span or 1e-9 * span), log)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / _TICKS
    decade = 10.0 ** math.floor(math.log10(raw))
    step = decade * next(m for m in (1, 2, 5, 10) if m * decade >= raw * 0.999)
    return [round(i * step, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    every = max(1, math.ceil((high - low) / _DECADES))
    within = (1, 2, 5) if high - low < 2 else (1,)
    return [m * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) if k % every == 0 for m in within]
