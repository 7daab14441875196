"""What a run folder says of its run before the first step, as a value: what trains, how, on what, with which releases.

It is written by ``engine.burst.recorder`` and read by ``engine.runs.load``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import BadState
from ..shorten import shorten

VERSION = 1
KIND = "vlmfreeze run"
"""What the manifest of a run folder says that it is."""

_LAST_SECOND = 253_402_300_800  # the year 10,000, where calendars end
_MOST_PARAMS = 10**18


@dataclass(frozen=True)
class RunAbout:
    """A run before its first step.

    Attributes:
        name: Of its folder, for people; the strategy's where it has one.
        began: Seconds since 1970.
        sentence: What trains, in words.
        strategy: As plain data; ``Strategy.from_dict`` reads it.
        settings: Of the burst, the seed among them, as plain data.
        model: Title, class, dtype, device, counts of parameters, and "identity": a SHA-256 over names and digests of its weights.
        versions: Of Python and the libraries that compute, and the platform.
        cost: What was estimated (``CostEstimate.to_dict``); activations are missing in it where it ``is_bound``.
        process: The ``RunState`` of its process, for as long as there is no status file.
        resumed_at: The step after which it went on where another run was saved; None of one that began.
    """

    name: str
    began: float
    sentence: str
    strategy: Mapping[str, Any]
    settings: Mapping[str, Any]
    model: Mapping[str, Any]
    versions: Mapping[str, str]
    cost: Mapping[str, Any] | None = None
    process: Mapping[str, Any] = field(default_factory=dict)
    resumed_at: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"version": VERSION, **{f.name: getattr(self, f.name) for f in fields(self)}}

    def facts(self) -> dict[str, Any]:
        """What a tracker gets: all but this machine's process and the cost's tables."""
        cost = self.cost or {}
        return {
            "sentence": self.sentence, "strategy": dict(self.strategy), "settings": dict(self.settings),
            "model": dict(self.model), "versions": dict(self.versions), "foretold_peak_bytes": cost.get("peak_bytes"),
        }  # fmt: skip

    def _check(self) -> None:
        if not isinstance(self.began, int | float) or not 0 <= self.began < _LAST_SECOND:
            raise ValueError(f"began {self.began!r:.40}")
        if not isinstance(self.name, str) or not isinstance(self.sentence, str):
            raise TypeError("a name or a sentence that is no text")
        for name in ("strategy", "settings", "model", "versions", "process"):
            if not isinstance(getattr(self, name), Mapping):
                raise TypeError(f"{name} is a {type(getattr(self, name)).__name__}")
        if not isinstance(self.cost, Mapping | None):
            raise TypeError(f"cost is a {type(self.cost).__name__}")
        if not isinstance(self.model.get("title"), str):
            raise TypeError("a model without a title")
        for name in ("total_params", "trainable_params"):
            if not isinstance(count := self.model.get(name), int) or not 0 <= count < _MOST_PARAMS:
                raise ValueError(f"{name} {count!r:.40}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunAbout:
        """What ``to_dict`` wrote.

        Raises:
            BadState: Another release wrote it, or it was changed.
        """
        known = {f.name for f in fields(cls)}
        try:
            if data["version"] != VERSION:
                raise ValueError(f"version {data['version']}")
            made = cls(**{name: value for name, value in data.items() if name in known})
            made._check()
            return made
        except (KeyError, TypeError, ValueError) as error:
            raise BadState(
                "This run cannot be read.",
                expected=f"what a run folder of version {VERSION} says of itself",
                found=shorten(f"{type(error).__name__}: {error}", 160),
                remedy="Read it with the release that wrote it.",
            ) from error
