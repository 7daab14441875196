"""The decision on the stages of a session together: their weights are kept on the model, or it is restored as before them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from ..core.errors import VlmFreezeError, WrongPhase
from ..core.strategy.strategy import Strategy
from ..core.wire.run_state import BUSY
from ..engine.model.ownership import check_free
from ..engine.stages.start import StagesStart
from .burst_decision import BurstDecision
from .context import SessionContext
from .stage_list import StageList
from .strategy_editor import StrategyEditor


class StagesDecision:
    """Keeps or undoes what the stages that are done left on the model.

    Args:
        context: Of the session.
        editor: Its strategy, which a discard restores.
        decision: On the last burst.
        stages: The chosen ones.

    Attributes:
        start: The model before the first stage; None before that and after a decision.
    """

    def __init__(
        self, context: SessionContext, editor: StrategyEditor, decision: BurstDecision, stages: StageList
    ) -> None:
        self._context = context
        self._editor = editor
        self._decision = decision
        self._stages = stages
        self._strategy_before: Strategy | None = None
        self.start: StagesStart | None = None

    def begin(self) -> None:
        """The first stage is to run; under the lock."""
        self._strategy_before = self._editor.strategy
        self.start = None

    def take_start(self) -> None:
        """Copies the model as it is before the first stage, unless that was done; on the worker."""
        if self.start is None:
            assert self._stages.chosen is not None
            self.start = StagesStart(self._context.model, self._stages.chosen.plan(self._context.tree))

    def keep(self) -> None:
        """Leaves the weights of the stages that are done on the model, for good.

        Raises:
            WrongPhase: No stage is done, or one is running or undecided.
        """
        with self._context.lock:
            self._expect_decidable()
            self.start = None
            self._show("kept")

    def discard(self) -> None:
        """Gives the model back, on the worker thread, bit for bit as it was before the first stage.

        Raises:
            WrongPhase: As for ``keep``.
        """
        with self._context.lock:
            self._expect_decidable()
            self._context.set(phase="restoring")
            self._context.worker.post(self._restore)

    def release(self) -> None:
        """Takes undecided weights off the model, and drops the batches; on the worker, at the end of the session."""
        try:
            if self._stages.is_active:
                self._stages.place = None
                self._restore()
        except VlmFreezeError as error:
            self._context.fail(error)
        finally:
            self.start = None
            self._stages.batches = {}

    def _expect_decidable(self) -> None:
        phase, stages = self._context.status.phase, self._stages
        if not stages.is_active or stages.place is not None or phase in BUSY:
            raise WrongPhase(
                "The stages cannot be decided now.",
                expected="at least one stage that is done, and none that runs or is undecided",
                found=phase,
                remedy="Wait for the stage, or decide on what it learnt.",
            )

    def _show(self, outcome: Literal["kept", "discarded"], **more: Any) -> None:  # fields of Staged
        assert self._stages.staged is not None
        self._stages.staged = replace(self._stages.staged, active=False, runs_all=False, outcome=outcome, **more)
        self._context.tell("stages")
        self._context.set(phase="idle", outcome=None, message=None)

    def _restore(self) -> None:
        start, stages, editor = self.start, self._stages, self._editor
        assert start is not None
        # Between two stages the model is anybody's: what a cell applies to it would come back with its revert.
        check_free(start.model)
        start.restore()
        seen = start.check()
        with self._context.lock:
            self.start = None
            self._decision.carries_adapters = False
            self._decision.proved = None
            self._show("discarded", restored=seen)
            if self._strategy_before is not None and stages.chosen is not None:
                if any(editor.strategy == stage.strategy for stage in stages.chosen):
                    editor.set_strategy(self._strategy_before)
                self._strategy_before = None
