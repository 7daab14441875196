"""One look at how much of other abilities is left, as a value. It is measured in ``engine.retention``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RetentionLook:
    """Text-only probes against the start.

    Attributes:
        loss: Mean over the probes' label tokens, in nats.
        kl: KL(start || now), mean over the same tokens, in nats; 0 at the start.
    """

    loss: float
    kl: float
