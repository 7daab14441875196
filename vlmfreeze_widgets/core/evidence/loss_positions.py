"""At which positions of a row a loss was computed, as a value. How that is found out is in ``engine.step.label_positions``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LossPositions:
    """Where logits were computed for the loss, and why there.

    Attributes:
        way: "labels": at the positions that predict a label; "all": at every position, as the model's own forward pass does.
        reason: Why, in words.
    """

    way: str
    reason: str

    @property
    def place(self) -> str:
        """The way, as a place in a sentence."""
        return "the positions that predict a label" if self.way == "labels" else "all positions"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"
