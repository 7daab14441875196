"""Looks at a session's model and data that leave both as they are: a probe, and rows of the data as the model gets them."""

from __future__ import annotations

from typing import Any

from ..core.errors import WrongPhase
from ..core.strategy.plan import Plan
from ..core.wire.run_state import BUSY, Phase
from ..engine.probe.probe import probe
from .context import SessionContext
from .obstacle import not_now
from .shown import Preview, Probed
from .strategy_editor import StrategyEditor

_PROBED = ("precision", "checkpointing", "accumulation", "max_grad_norm", "seed")  # what a probe shares with the burst


class Probing:
    """Probes the model of a session, and reads its data.

    Args:
        context: Of the session.
        editor: Its strategy.
        processor: The model's; reads the tokens of a preview. None where the batches can show their rows, or nothing can.

    Attributes:
        preview: The last rows of the data that were asked for; None before.
        probed: The last probe; None before.
    """

    def __init__(
        self,
        context: SessionContext,
        editor: StrategyEditor,
        processor: Any,  # a processor, a tokenizer, or a function from ids to text
    ) -> None:
        self._context = context
        self._editor = editor
        self._processor = processor
        self.preview: Preview | None = None
        self.probed: Probed | None = None

    @property
    def can_preview(self) -> bool:
        """Whether rows of the data can be shown as text."""
        return hasattr(self._context.batches, "preview") or (
            self._context.batches is not None and self._processor is not None
        )

    def release(self) -> None:
        """Drops the processor; at the end of the session."""
        self._processor = None

    def look_at_data(self, first: int = 0, count: int = 4) -> None:
        """Starts to prepare a few rows of the data as the model gets them, on the worker thread; ``preview`` holds them.

        Args:
            first: Place of the first row.
            count: How many rows.

        Raises:
            WrongPhase: There are no batches, or no processor that can read their tokens.
        """
        with self._context.lock:
            readable = self.can_preview
            if not readable or self._context.status.phase in BUSY:
                raise WrongPhase(
                    "The data cannot be shown now.",
                    expected="batches of vf.load_batches, or batches and processor=..., while nothing runs",
                    found=self._context.status.phase if readable else "batches whose tokens nobody can read",
                    remedy="Give the processor: Workbench(model, batches, processor=processor).",
                )
            self._context.worker.post(lambda: self._preview(first, count))

    def probe(self, steps: int = 3, *, open_all: bool = False) -> None:
        """Starts a probe of the present strategy on the worker thread; ``probed`` holds it when it is done.

        A strategy that a burst would refuse is probed all the same: to name the cause is what a probe is for. An undecided
        result stays undecided.

        Args:
            steps: Optimizer steps; the model is as before afterwards.
            open_all: Also ask what gradient the frozen parts would receive.

        Raises:
            WrongPhase: There is nothing to probe, or the model is busy.
        """
        with self._context.lock:
            obstacle = self._context.obstacle()
            if obstacle is not None:
                raise not_now(obstacle, "No probe can start now.", "a free model and batches")
            plan, rev, phase = self._editor.plan, self._editor.rev, self._context.status.phase
            self._context.set(phase="probing", error=None)
            self._context.worker.post(lambda: self._probe(plan, rev, phase, steps, open_all))

    def _preview(self, first: int, count: int) -> None:
        try:
            batches: Any = self._context.batches
            if not hasattr(batches, "preview"):
                from ..data.load import load_batches

                batches = load_batches(batches, self._processor)
            rows = batches.preview(first + count)[first:]
            number = self.preview.number + 1 if self.preview else 1
            self.preview = Preview(number, first, rows, str(getattr(batches, "report", "")))
        except Exception as error:
            self._context.fail(error, self._context.status.phase)
            return
        self._context.tell("preview")

    def _probe(self, plan: Plan, rev: int, phase: Phase, steps: int, open_all: bool) -> None:
        assert self._context.model is not None
        assert self._context.batches is not None
        settings = {name: getattr(self._context.settings, name) for name in _PROBED}
        try:
            report = probe(self._context.model, plan, self._context.batches, steps=steps, open_all=open_all, **settings)
        except Exception as error:
            self._context.fail(error, "failed" if phase == "idle" else phase)
            return
        self.probed = Probed(self.probed.number + 1 if self.probed else 1, rev, report)
        self._context.tell("probe")
        self._context.set(phase=phase)
