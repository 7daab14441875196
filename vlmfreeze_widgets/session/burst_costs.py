"""The estimate of a session next to its bursts: what it is made from, what a burst gets of it, what it learns from a burst."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any

from ..core.cost.assumptions import CostSettings
from ..core.history.history import StepRecord
from ..core.strategy.plan import Plan
from ..engine.burst.burst import Burst
from ..engine.burst.result import BurstResult
from ..engine.settings import BurstSettings
from .burst_hooks import BurstHooks
from .context import SessionContext
from .costs import Costs, Gone, Source
from .shown import Change
from .strategy_editor import StrategyEditor


def costs_of(context: SessionContext, editor: StrategyEditor, planned: Any) -> Costs:  # as read_tree reads
    """The costs of a session. They hold it weakly: a thread that estimates must not keep alive what has no other reference.

    Args:
        context: Of the session.
        editor: Its strategy.
        planned: What the tree was read from, where the session has no model.
    """
    session, edited = weakref.ref(context), weakref.ref(editor)

    def source() -> Source:
        here = session()
        if here is None or here.end_reason is not None:
            raise Gone
        return Source(here.model, planned if here.model is None else None, here.batches, here.worker.post)

    def plan() -> tuple[int, Plan]:
        here = edited()
        if here is None:
            raise Gone
        return here.rev, here.plan

    def tell() -> None:
        if (here := session()) is not None:
            here.tell("cost")

    return Costs(source, plan, assumed(context.settings), tell)


class BurstCosts:
    """Connects the costs of one session with its bursts and its strategy.

    Args:
        context: Of the session, whose changes are followed.
        costs: Its estimates.

    Attributes:
        hooks: What it does with each burst.
    """

    def __init__(self, context: SessionContext, costs: Costs) -> None:
        self._context = context
        self._costs = costs
        self.hooks = BurstHooks(made=self._made, stepped=self._stepped, over=self._over)
        context.internal_listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change == "plan":
            self._costs.changed()
        elif change == "tree":
            self._costs.reread()

    def _made(self, burst: Burst) -> None:
        is_resumed = len(burst.history) > 0  # then the estimate beside it may be that of another strategy
        if not is_resumed and (known := self._costs.view()).status == "ready":
            burst.recording.cost = known.cost

    def _stepped(self, record: StepRecord, burst: Burst) -> None:
        if record.memory_bytes is not None:
            with self._context.lock:
                known = self._costs.known_peak(burst.plan, assumed(burst.settings))
                self._context.status = replace(self._context.status, estimate_bytes=known)

    def _over(self, burst: Burst, result: BurstResult) -> None:
        number = self._context.status.burst
        self._costs.burst_ended(number, burst.plan, assumed(burst.settings), result.history)


def assumed(settings: BurstSettings) -> CostSettings:
    """What a burst of these settings means for its cost."""
    return CostSettings(
        precision=settings.precision, checkpointing=bool(settings.checkpointing), optimizer=settings.optimizer,
        accumulation=settings.accumulation, loss_positions=settings.loss_positions,
    )  # fmt: skip
