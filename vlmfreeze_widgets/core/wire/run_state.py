"""Where a session stands: the value behind the trait ``run_state`` (tests/wire/README.md). Who fills it in is ``session``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..evidence.loss_positions import LossPositions
from ..evidence.verdict import Verdict
from ..history.history import Answers
from .messages import VERSION, number

Phase = Literal[
    "plan_only",
    "loading",
    "idle",
    "probing",
    "comparing",
    "preparing",
    "running",
    "paused",
    "stopping",
    "deciding",
    "restoring",
    "failed",
]
BUSY: frozenset[str] = frozenset(
    {"loading", "probing", "comparing", "preparing", "running", "paused", "stopping", "restoring"}
)
"""Phases in which the worker has the model."""


@dataclass(frozen=True)
class RunStatus:
    """One look at a session.

    Attributes:
        phase: What it is doing.
        burst: Number of the burst, from 1; 0 before the first.
        steps: Asked for; while loading, tensors in all.
        step: Taken; while loading, tensors loaded.
        rows: Records held.
        seconds_per_step: Mean of the last steps.
        eta_seconds: Until the last step.
        tokens_per_second: Input tokens, over the last steps.
        memory_bytes: Peak of device memory; None on a CPU.
        estimate_bytes: Its estimate; None where that is not known.
        rates: Component -> current learning rate.
        lr_columns: Components with an lr column in the rows.
        norm_columns: Components with a gradient-norm column.
        verdicts: The last judgement.
        verdict_after: Steps after which it was given.
        skipped: Micro-batches without label tokens.
        message: For the user, such as why it ended early.
        error: The three parts and the traceback of a failed burst.
        why_not: Why Run is not possible now; None when it is.
        answers: The model's answers to the questions before and now; None where nothing was asked.
        can_load: Whether there are weights to load.
        outcome: "kept" or "discarded" once decided.
        default_steps: What Run offers.
        loss_positions: Where the loss is computed and why; None before the first step, and where "all" was asked for.
    """

    phase: Phase = "plan_only"
    burst: int = 0
    steps: int = 0
    step: int = 0
    rows: int = 0
    seconds_per_step: float | None = None
    eta_seconds: float | None = None
    tokens_per_second: float | None = None
    memory_bytes: int | None = None
    estimate_bytes: int | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    lr_columns: tuple[str, ...] = ()
    norm_columns: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    verdict_after: int | None = None
    skipped: int = 0
    message: str | None = None
    error: Mapping[str, str] | None = None
    why_not: str | None = None
    answers: tuple[Answers, Answers] | None = None
    can_load: bool = False
    outcome: str | None = None
    default_steps: int = 50
    loss_positions: LossPositions | None = None

    def to_dict(self) -> dict[str, Any]:
        """The trait ``run_state``."""
        return {
            "v": VERSION,
            "phase": self.phase,
            "burst": self.burst,
            "steps": self.steps,
            "step": self.step,
            "rows": self.rows,
            "seconds_per_step": number(self.seconds_per_step),
            "eta_seconds": number(self.eta_seconds),
            "tokens_per_second": number(self.tokens_per_second),
            "memory_bytes": self.memory_bytes,
            "estimate_bytes": self.estimate_bytes,
            "groups": [{"component": name, "lr": number(lr)} for name, lr in self.rates.items()],
            "columns": {"lr": list(self.lr_columns), "grad_norm": list(self.norm_columns)},
            "verdicts": [
                {
                    "component": v.component,
                    "label": v.label,
                    "status": v.status,
                    "text": v.text,
                    "selected": v.selected,
                    "lr": number(v.lr),
                    "gradient": number(v.gradient),
                    "moved": number(v.moved),
                }
                for v in self.verdicts
            ],
            "verdict_after": self.verdict_after,
            "skipped": self.skipped,
            "message": self.message,
            "error": None if self.error is None else dict(self.error),
            "can_run": self.why_not is None,
            "why_not": self.why_not,
            "answers": None
            if self.answers is None
            else {
                "before": list(self.answers[0].texts),
                "now": list(self.answers[1].texts),
                "step": self.answers[1].step,
            },
            "can_load": self.can_load,
            "outcome": self.outcome,
            "default_steps": self.default_steps,
            "loss_positions": None
            if self.loss_positions is None
            else {"way": self.loss_positions.way, "reason": self.loss_positions.reason},
        }
