"""How much of other abilities is left, as a value. It is measured in ``engine.evidence.retention``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RetentionResult:
    """Text-only probes against the start.

    Attributes:
        loss: Mean over the probes' label tokens, in nats.
        kl: KL(start || now), mean over the same tokens, in nats; 0 at the start.
    """

    loss: float
    kl: float


def retention_of_row(columns: Mapping[str, Sequence[float | None]], row: int) -> RetentionResult | None:
    """The retention of one row of a history's columns; None where it was not measured."""
    loss, kl = (columns.get(name, ())[row : row + 1] for name in ("retention_loss", "retention_kl"))
    return RetentionResult(loss[0], kl[0]) if loss and kl and loss[0] is not None and kl[0] is not None else None
