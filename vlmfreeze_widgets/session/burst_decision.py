"""The result of a session's last burst, and the decision on it: kept on the model, or discarded."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..core.language.phrase import Phrase
from ..engine.burst.keeping import keep_plain_if_exact
from ..engine.burst.result import BurstResult
from .burst_hooks import BurstHooks
from .context import SessionContext
from .shown import Proved

Outcome = Literal["kept", "discarded"]


class BurstDecision:
    """Holds one result until it is decided on the worker.

    Args:
        context: Of the session.

    Attributes:
        hooks: Those of the burst runner; called at the decision.
        result: The last burst's, once it is over.
        proved: Its proof, and after a discard that of the model restored.
        carries_adapters: Whether kept adapters stay on the model beside weights that cannot take them.
    """

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self.hooks: tuple[BurstHooks, ...] = ()
        self.result: BurstResult | None = None
        self.proved: Proved | None = None
        self.carries_adapters = False

    def clear(self) -> None:
        """Forgets the last result: a burst begins."""
        self.result = self.proved = None

    def show(self, result: BurstResult) -> None:
        """Takes the result of the burst that is over."""
        if result.proof is not None:
            self.proved = Proved(self._context.status.burst, result.proof)
        with self._context.lock:
            self.result = result

    def keep(self) -> None:
        """Puts the trained values on the model, LoRA merged, so that the next burst starts from there.

        Where the weights cannot take adapters without loss (4-bit, 8-bit, ...) these stay beside them, and the status says so.

        Raises:
            WrongPhase: There is no undecided result.
        """
        self._decide("kept")

    def discard(self) -> None:
        """Drops the trained values; the model is as before the burst already.

        Raises:
            WrongPhase: There is no undecided result.
        """
        self._decide("discarded")

    def keep_plain(self, result: BurstResult) -> Phrase | None:
        """Puts a result on the model, merged where that loses nothing; on the worker.

        Returns:
            What the user has to know of it; None where there is nothing.
        """
        note = keep_plain_if_exact(result)
        with self._context.lock:
            self.carries_adapters = bool(result.plan.lora_targets) and not result.is_merged
        return note

    def release(self) -> None:
        """Drops the trained values of an undecided result; on the worker, at the end of the session."""
        if self.result is not None:
            self.result = self.result.without_values()

    def _decide(self, outcome: Outcome) -> None:
        with self._context.lock:
            self._context.expect("deciding")
            result = self.result
            assert result is not None
            self._context.set(phase="restoring")
            self._context.worker.post(lambda: self._settle(result, outcome))

    def _settle(self, result: BurstResult, outcome: Outcome) -> None:
        note = None
        if outcome == "kept":
            note = self.keep_plain(result)
        else:
            result.discard()
            if self.proved is not None:
                self.proved = replace(self.proved, restored=result.check_restored())
        self._context.set(phase="idle", outcome=outcome, message=note or self._context.status.message)
        for hooks in self.hooks:
            hooks.decided(result, outcome)
