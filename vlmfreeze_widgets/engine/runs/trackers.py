"""Trackers: programs of others that keep and show runs, called at each step by their own interfaces. Each is in ``adapters``.

None is installed by force, none is called unless a burst requests it (``report_to``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from ...core.errors import InvalidStrategy
from ...core.evidence.verdict import Verdict
from ...core.history.history import StepRecord
from ...core.history.run_metadata import RunAbout
from ...core.shorten import shorten
from ..accepted import TRACKERS


class Tracker(Protocol):
    """What a burst tells a tracker.

    Attributes:
        name: For messages.
    """

    name: str

    def begin(self, about: RunAbout) -> None:
        """Before the first step."""

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """After each step: the numbers that are known and finite."""

    def end(self, phase: str, verdicts: tuple[Verdict, ...]) -> None:
        """After the last: "finished", "stopped" or "failed"."""


def trackers(given: str | Iterable[str | Tracker] | Tracker | None) -> list[Tracker]:
    """The trackers of some names; a tracker of your own is taken as it is.

    Raises:
        InvalidStrategy: A name that is not known, or a library that is not installed.
    """
    if given is None:
        return []
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given]
    return [_named(one) if isinstance(one, str) else one for one in given]


def numbers_of(record: StepRecord) -> dict[str, float]:
    """What of a step goes to a tracker: flat names, as trackers group them, and finite numbers."""
    found: dict[str, Any] = {
        "train/loss": record.loss,
        "train/grad_norm": record.grad_norm,
        "train/tokens_per_second": record.input_tokens / record.seconds if record.seconds else None,
        "train/seconds": record.seconds,
        "eval/loss": record.eval_loss,
        "memory/peak_bytes": record.memory_bytes,
    }
    if record.retention is not None:
        found |= {"retention/loss": record.retention.loss, "retention/kl": record.retention.kl}
    found |= {f"lr/{component}": lr for component, lr in record.lr.items()}
    found |= {f"grad_norm/{component}": norm for component, norm in record.component_norms.items()}
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def _named(name: str) -> Tracker:
    if name not in TRACKERS:
        raise InvalidStrategy(
            "A burst cannot report there.",
            expected=", ".join(TRACKERS),
            found=shorten(repr(name), 60),
            remedy="Give one of these names, or an object with begin, log and end.",
        )
    try:
        tracker = _MAKERS[name]()
    except ImportError as error:
        raise InvalidStrategy(
            f"{name} is not installed.",
            expected=f"the package {name}",
            found=shorten(error, 160),
            remedy=f"pip install {name}, or leave it out of report_to; a run folder needs nothing.",
        ) from error
    return tracker


def _trackio() -> Tracker:
    from ...adapters import trackio_runs

    return trackio_runs.make()


def _tensorboard() -> Tracker:
    from ...adapters import tensorboard_runs

    return tensorboard_runs.make()


def _wandb() -> Tracker:
    from ...adapters import wandb_runs

    return wandb_runs.make()


_MAKERS: dict[str, Callable[[], Tracker]] = {"trackio": _trackio, "tensorboard": _tensorboard, "wandb": _wandb}
