"""A run of several processes from its recipe to its result: reads, steps, writes as it goes. Its command line is ``__main__``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..adapters.accelerate_processes import Processes
from ..core.errors import NonFiniteLoss
from ..core.history.history import History, StepRecord
from ..core.history.norms import ModuleNorms, NormLayout
from ..engine.batches.micro_batch import MicroBatch
from ..engine.batches.micro_batches import MicroBatches
from ..engine.runs.run_folder import RESULT, RunFolder
from ..engine.step.training_step import StepResult
from .batch_files import read_batches, same_inputs
from .recipe import Recipe
from .shared_model import SharedModel

_STATUS_SECONDS = 0.5  # status.json is written at most this often while steps are taken


@dataclass
class _Ending:
    phase: str = "finished"
    message: str | None = None
    problem: NonFiniteLoss | None = None


class Run:
    """One run on this process. All processes make one and call ``go``; the main one writes.

    Args:
        recipe: What trains where, on what, and how.
        processes: This one and the others.
        folder: The run folder, opened by the main process.
        stopped: Whether this process was requested to stop.
        tell: Called with each record on the main process.
    """

    def __init__(
        self,
        recipe: Recipe,
        processes: Processes,
        folder: RunFolder,
        stopped: Callable[[], bool] = lambda: False,
        tell: Callable[[StepRecord], None] = lambda _: None,
    ) -> None:
        self._recipe, self._processes, self._folder = recipe, processes, folder
        self._stopped, self._tell = stopped, tell
        self.history = History(NormLayout((), (), ()), recipe.strategy.to_dict(), recipe.settings.to_dict())

    def go(self) -> str:
        """Trains to the end and saves.

        Returns:
            The phase that the run ended in: "finished", "stopped" or "failed".

        Raises:
            VlmFreezeError: What stood in the way; the caller tells it in the run folder.
        """
        main = self._processes.is_main
        files = read_batches(self._recipe.batches)
        model = SharedModel(self._recipe, self._processes, same_inputs(files))
        self.history.layout = model.layout
        if main:
            self._folder.begin(self.history)
            self._folder.show(phase="running")
        batches = MicroBatches(files, model.shifts)
        ending = self._steps(model, batches)
        self.history.skipped = batches.skipped
        if main:
            self._folder.show(phase="saving", step=len(self.history), message=ending.message)
        verdicts = model.verdicts(self._rates)
        trained = model.trained()
        if main:
            result = model.result(
                trained, history=self.history, verdicts=verdicts, stopped_early=ending.message, problem=ending.problem
            )
            result.save(self._folder.path / RESULT)
            self._folder.end(self.history, ending.phase, ending.message)
            error = None if ending.problem is None else ending.problem.to_dict()
            self._folder.show(phase=ending.phase, error=error)
        return ending.phase

    def _steps(self, model: SharedModel, batches: MicroBatches) -> _Ending:
        settings, processes = self._recipe.settings, self._processes
        began = shown_at = time.monotonic()
        for number in range(1, settings.steps + 1):
            # Batches of all processes: each counts the label tokens of all and reads the pictures of its own.
            started = time.perf_counter()
            taken = batches.take(settings.accumulation * processes.count)
            self._rates = model.rates
            # One clock decides for all.
            over = processes.is_main and settings.seconds is not None and time.monotonic() - began >= settings.seconds
            stop = self._stopped() or (processes.is_main and self._folder.stop_requested())
            # Step: the engine's own, with sums over the processes.
            shown = model.step(taken, number, stop or over)
            # Record: the same numbers on all; the main process writes them.
            record = self._record(number, shown, taken, time.perf_counter() - started)
            self.history.append(record)
            if processes.is_main:
                self._folder.add(record)
                self._tell(record)
                if time.monotonic() - shown_at >= _STATUS_SECONDS:
                    self._folder.show(step=number)
                    shown_at = time.monotonic()
            if shown.interrupt is not None:
                raise shown.interrupt
            if shown.error is not None:
                return _Ending("failed", shown.error.problem, shown.error)
            if shown.is_last and number < settings.steps:
                return (
                    _Ending("finished", f"{settings.seconds:g} seconds were up")
                    if over
                    else _Ending("stopped", "stopped")
                )
        return _Ending()

    def _record(self, number: int, shown: StepResult, taken: Sequence[MicroBatch], seconds: float) -> StepRecord:
        device = self._processes.device
        return StepRecord(
            step=number,
            loss=shown.loss,
            lr=self._rates,
            grad_norm=shown.grad_norm,
            grad_norms=ModuleNorms(self.history.layout, shown.norms),
            tokens=sum(b.label_tokens for b in taken),
            seconds=seconds,
            memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
            input_tokens=sum(b.input_tokens for b in taken),
            problem=shown.problem,
        )
