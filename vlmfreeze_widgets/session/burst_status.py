"""How the status of a session follows a burst: at its start, after each step, at its end. Values only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..core.history.history import Answers, History, StepRecord
from ..core.language.phrase import say
from ..core.strategy.plan import Plan
from ..core.wire.run_state import RunStatus
from ..engine.burst.burst import Burst

_RECENT = 10  # steps that speed and ETA are taken from


def with_columns(status: RunStatus, plan: Plan) -> RunStatus:
    """Names the components that have a column of rates and norms."""
    columns = tuple(dict.fromkeys(g.component for g in plan.optimizer_groups))
    return replace(status, lr_columns=columns, norm_columns=columns, rates=plan.component_rates)


def after_step(status: RunStatus, record: StepRecord, burst: Burst) -> RunStatus:
    """The status after one optimizer step; seconds, tokens and ETA are means over the last ten."""
    recent = burst.history[-_RECENT:]
    spent = sum(r.seconds for r in recent)
    per_step = spent / len(recent)
    changes: dict[str, Any] = {
        "step": record.step,
        "seconds_per_step": per_step,
        "eta_seconds": per_step * (burst.settings.steps - record.step),
        "tokens_per_second": sum(r.input_tokens for r in recent) / spent if spent else None,
        "memory_bytes": record.memory_bytes,
        "rates": record.lr,
        "answers": _answers(burst.history),
        "loss_positions": burst.loss_positions if burst.settings.loss_positions == "labels" else None,
    }
    if burst.verdicts and not status.verdicts:
        changes |= {"verdicts": burst.verdicts, "verdict_after": record.step}
    if status.phase == "preparing":
        changes["phase"] = "running"
    return replace(status, **changes)


def ended_early(taken: int, steps: int, why: str | None, problem: BaseException | None) -> str | None:
    """The sentence on a burst that ended before its time; the problem, if there is one, stands next to it."""
    if not why:
        return None
    if problem is not None:
        return say("Ended after {some} of {all} steps.", some=taken, all=steps)
    # A reason that is a sentence has its full stop.
    reason = why.rstrip(".") if why.endswith(".") else why
    return say("Ended after {some} of {all} steps: {why}.", some=taken, all=steps, why=reason)


def _answers(history: History) -> tuple[Answers, Answers] | None:
    return (history.answers[0], history.answers[-1]) if history.answers else None
