"""Paired differences with an interval: what follows for two contenders that were measured on the same seeds and the same data.

The noise has two sources that are crossed: another seed would have trained other weights, and other held-out data would have
measured another loss. Both are in the interval (two-way clustered variance: Cameron, Gelbach & Miller 2011), with Student's t and
Satterthwaite's degrees of freedom, since seeds are few. Who is compared with whom is in ``core.comparison.board``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Call = Literal["lower", "higher", "too close to call", "equal"]


@dataclass(frozen=True)
class Difference:
    """The loss of one contender minus that of another.

    Attributes:
        mean: Over seeds and held-out parts, weighted by their label tokens.
        low: Lower end of the interval; minus infinity where there is only one number.
        high: Upper end.
        level: Of the interval, such as 0.95.
        seeds: How many pairs of runs.
        parts: How many held-out parts each run was measured on.
        call: "lower" where the first has the lower loss, beyond noise and margin; "equal" where every number is the same, bit for
            bit; "too close to call" otherwise.
    """

    mean: float
    low: float
    high: float
    level: float
    seeds: int
    parts: int
    call: Call

    def reversed(self) -> Difference:
        """The same, seen from the other."""
        other: dict[Call, Call] = {"lower": "higher", "higher": "lower"}
        return Difference(
            -self.mean, -self.high, -self.low, self.level, self.seeds, self.parts, other.get(self.call, self.call)
        )

    def __str__(self) -> str:
        if self.call == "equal":
            return "equal, number for number"
        return f"{self.mean:+.3g} ({self.low:+.3g} to {self.high:+.3g})"


def difference(
    table: Sequence[Sequence[float]], weights: Sequence[float], level: float = 0.95, margin: float = 0.0
) -> Difference:
    """What a table of paired differences says.

    Args:
        table: One row per seed, one column per held-out part; of shape (seeds, parts), both at least 1.
        weights: Of the parts, such as their label tokens.
        level: Of the interval, between 0 and 1.
        margin: A difference of less than this is of no account, however certain.

    Raises:
        ValueError: The table is empty, or a level cannot be meant.
    """
    if not table or not table[0] or not 0 < level < 1:
        raise ValueError("A difference needs at least one number, and a level between 0 and 1.")
    seeds, parts = len(table), len(table[0])
    whole = sum(weights)
    shares = [w / whole for w in weights]
    by_seed = [sum(w * d for w, d in zip(shares, row, strict=True)) for row in table]
    by_part = [sum(row[i] for row in table) / seeds for i in range(parts)]
    mean = sum(by_seed) / seeds
    if all(d == 0 for row in table for d in row):
        return Difference(0.0, 0.0, 0.0, level, seeds, parts, "equal")
    variance, freedom = _variance(table, shares, by_seed, by_part, mean)
    half = math.inf if freedom == 0 else student(1 - (1 - level) / 2, freedom) * math.sqrt(variance)
    low, high = mean - half, mean + half
    call: Call = "too close to call"
    if abs(mean) >= margin and (high < 0 or low > 0):
        call = "lower" if mean < 0 else "higher"
    return Difference(mean, low, high, level, seeds, parts, call)


def _variance(
    table: Sequence[Sequence[float]],
    shares: Sequence[float],
    by_seed: Sequence[float],
    by_part: Sequence[float],
    mean: float,
) -> tuple[float, float]:
    """Of the mean, and its degrees of freedom; (0, 0) where nothing varies that could be counted."""
    seeds, parts = len(by_seed), len(by_part)
    of_seeds = sum((m - mean) ** 2 for m in by_seed) / (seeds * (seeds - 1)) if seeds > 1 else 0.0
    spread = sum(w * w * (u - mean) ** 2 for w, u in zip(shares, by_part, strict=True))
    of_parts = spread * parts / (parts - 1) if parts > 1 else 0.0
    both = 0.0
    if seeds > 1 and parts > 1:
        # What is left of a cell is in the spread of the seeds and of the parts, and must be counted once.
        rest = sum(
            (shares[b] / seeds * (table[s][b] - by_seed[s] - by_part[b] + mean)) ** 2
            for s in range(seeds)
            for b in range(parts)
        )
        both = rest * seeds * parts / ((seeds - 1) * (parts - 1))
    variance = max(of_seeds + of_parts - both, of_seeds, of_parts)
    weight = (of_seeds**2 / (seeds - 1) if seeds > 1 else 0.0) + (of_parts**2 / (parts - 1) if parts > 1 else 0.0)
    if not weight:
        return 0.0, float(max(seeds, parts) - 1)
    return variance, max(1.0, (of_seeds + of_parts) ** 2 / weight)


def student(probability: float, freedom: float) -> float:
    """The quantile of Student's t distribution, for probabilities from 0.5 on."""
    low, high = 0.0, 1.0
    while _below(high, freedom) < probability and high < 1e12:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if _below(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _below(t: float, freedom: float) -> float:
    return 1 - 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized incomplete beta function by its continued fraction (Abramowitz & Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for i in range(400):
        m = i // 2
        if i == 0:
            term = 1.0
        elif i % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + term * d or tiny)
        c = 1 + term / c or tiny
        value *= c * d
        if abs(1 - c * d) < 1e-14:
            break
    return front * (value - 1)
