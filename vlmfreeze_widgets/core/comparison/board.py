"""What a comparison found, as a value: an entry per contender, paired differences, places, the Pareto front.

Words, tables and markup made of it are in ``core.comparison.text``; entries in ``core.comparison.entry``, the statistics in
``core.comparison.paired_difference``, running in ``engine.comparison.comparison``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from ..arguments import found_for
from ..errors import InvalidStrategy, did_you_mean
from .entry import Entry, paired_table
from .paired_difference import Difference, difference
from .text import board_html, board_text, sentence

_SLACK = 0.15  # of seconds per step: less is the machine's own noise (two runs of one strategy: up to 10 %, measured)


@dataclass(frozen=True)
class Board:
    """The result of ``vf.compare``.

    Attributes:
        entries: In the order given.
        weights: Label tokens of each held-out part.
        measured: "held-out loss", or "training loss" where no held-out batches were given.
        level: All intervals together hold with this probability (Bonferroni over the pairs).
        margin: Share of the lower loss; a smaller difference is never called.
        notes: What a reader of the numbers must know.
    """

    entries: tuple[Entry, ...]
    weights: tuple[float, ...]
    measured: str = "held-out loss"
    level: float = 0.95
    margin: float = 0.01
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Entry:
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise InvalidStrategy(
            f"There is no contender {name!r}.",
            expected=", ".join(e.name for e in self.entries),
            found=found_for(name),
            remedy=did_you_mean(str(name), [e.name for e in self.entries]) or "Use one of these names.",
        )

    def loss(self, name: str) -> float | None:
        """The last loss of a contender: mean over seeds, held-out parts weighted by their label tokens."""
        seen = [self._mean(run.looks[max(run.looks)]) for run in self[name].runs if run.looks]
        return fmean(seen) if seen else None

    def loss_at_start(self, name: str) -> float | None:
        """The same before training; None for the training loss, which is not measured then."""
        seen = [self._mean(run.looks[0]) for run in self[name].runs if 0 in run.looks]
        return fmean(seen) if seen else None

    def curve(self, name: str) -> dict[int, float]:
        """Step -> loss, mean over the seeds that were looked at there."""
        steps = sorted({step for run in self[name].runs for step in run.looks})
        return {s: fmean(self._mean(run.looks[s]) for run in self[name].runs if s in run.looks) for s in steps}

    def _mean(self, losses: tuple[float, ...]) -> float:
        weights = self.weights if len(self.weights) == len(losses) else (1.0,) * len(losses)
        return sum(w * x for w, x in zip(weights, losses, strict=True)) / sum(weights)

    def difference(self, first: str, second: str) -> Difference | None:
        """The loss of one contender minus that of another, at the last step at which both were looked at.

        Args:
            first: A contender.
            second: Another.

        Returns:
            None where they have no seed and look in common, or one of them failed.

        Raises:
            InvalidStrategy: There is no such contender; the message gives the nearest.
        """
        for name in (first, second):
            _ = self[name]
        return self.differences.get((first, second))

    @cached_property
    def differences(self) -> dict[tuple[str, str], Difference]:
        """Every ordered pair that can be compared."""
        names = [e.name for e in self.entries]
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        level = 1 - (1 - self.level) / max(1, len(pairs))
        found: dict[tuple[str, str], Difference] = {}
        for a, b in pairs:
            table = paired_table(self[a], self[b])
            if not table or "failed" in (self[a].state, self[b].state):
                continue
            lower = min(x for x in (self.loss(a), self.loss(b)) if x is not None)
            weights = self.weights if len(self.weights) == len(table[0]) else (1.0,) * len(table[0])
            one = difference(table, weights, level, self.margin * abs(lower))
            found[a, b], found[b, a] = one, one.reversed()
        return found

    @cached_property
    def places(self) -> dict[str, int]:
        """Name -> place from 1. Contenders that cannot be distinguished share a place; failed contenders have none."""
        order = sorted((e.name for e in self.entries if self._counts(e)), key=lambda n: (self.loss(n), n))
        found: dict[str, int] = {}
        leader = ""
        for i, name in enumerate(order):
            one = self.difference(name, leader) if leader else None
            if not leader or (one is not None and one.call == "higher"):
                leader, found[name] = name, i + 1
            else:
                found[name] = found[leader]
        return found

    def _counts(self, entry: Entry) -> bool:
        loss = self.loss(entry.name)
        return entry.state != "failed" and loss is not None and math.isfinite(loss)

    @cached_property
    def front(self) -> tuple[str, ...]:
        """The Pareto front: no other is as good in loss, memory, time, parameters and retention, and better in one of them."""
        counted = [e for e in self.entries if self._counts(e)]
        return tuple(e.name for e in counted if not any(self._beats(o, e) for o in counted if o is not e))

    def _beats(self, a: Entry, b: Entry) -> bool:
        better = False
        for one, other, slack in (
            (self.loss(a.name), self.loss(b.name), 0.0),
            (a.memory_bytes, b.memory_bytes, 0.0),
            (a.seconds, b.seconds, _SLACK),
            (a.trainable_params, b.trainable_params, 0.0),
            (a.retention, b.retention, 0.0),
        ):
            if one is None or other is None:
                continue
            if one > other * (1 + slack):
                return False
            better = better or one < other * (1 - slack)
        return better

    @property
    def winner(self) -> str | None:
        """The contender that is alone in the first place; None where that is too close to call."""
        first = [name for name, place in self.places.items() if place == 1]
        return first[0] if len(first) == 1 else None

    @property
    def sentence(self) -> str:
        """Who is ahead of whom, by how much, and what is too close to call."""
        return sentence(self)

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per contender, the best first: what ``to_pandas`` and the tables show."""
        order = sorted(self.entries, key=lambda e: (self.places.get(e.name, math.inf), self.loss(e.name) or math.inf))
        best = next(iter(order), None)
        return [
            {
                "name": e.name,
                "place": self.places.get(e.name),
                "on_front": e.name in self.front,
                "loss": self.loss(e.name),
                "loss_at_start": self.loss_at_start(e.name),
                "behind_best": self.difference(e.name, best.name) if best is not None and e is not best else None,
                "memory_bytes": e.memory_bytes,
                "seconds_per_step": e.seconds,
                "trainable_params": e.trainable_params,
                "retention_kl": e.retention,
                "steps": e.steps,
                "seeds": len(e.runs),
                "state": e.state,
                "plan": e.sentence,
            }
            for e in order
        ]

    def to_pandas(self) -> Any:  # pandas.DataFrame, when pandas is there
        """One row per contender, the best first."""
        from ...adapters.pandas_frames import board_frame

        return board_frame(self)

    def figure(self) -> Any:  # plotly Figure
        """Held-out loss over steps, paired differences to the best, and loss against memory with the front."""
        from ...figures import board_figure

        return board_figure(self)

    def __str__(self) -> str:
        return board_text(self)

    __repr__ = __str__

    def __rich__(self) -> Any:  # rich.table.Table
        from ...adapters.rich_tables import board_table

        return board_table(self)

    def _repr_html_(self, head: str = "") -> str:
        return board_html(self, head or self.sentence)
