"""The loop of a burst and its ends: steps, the evaluations between them, the judgement while the trained weights are still in the
model, and the way back. The user's side of it is ``engine.burst.burst``.

Long because every way in which a burst can end is read in one place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from dataclasses import replace

import torch
from torch import nn

from ...core.errors import ModelBusy, VlmFreezeError
from ...core.evidence.freeze_proof import Proof
from ...core.evidence.loss_positions import LossPositions
from ...core.evidence.verdict import Verdict
from ...core.history.history import Answers, History, StepRecord
from ...core.history.norms import ModuleNorms, NormLayout
from ...core.language.phrase import say
from ...core.shorten import shorten
from ...core.strategy.plan import Plan
from ..batches.micro_batch import MicroBatch
from ..batches.micro_batches import MicroBatches
from ..evidence.evaluation import EvalInputs, EvalResult, non_finite_results
from ..settings import BurstSettings
from ..step.label_positions import LabelPositions
from . import checkpoint
from .recorder import Recording
from .training_run import TrainingRun


class BurstLoop:
    """What a burst is while it runs, and what is known of it afterwards.

    Args:
        model: Checked already, and unwrapped.
        plan: For this model.
        settings: Of the burst.
        batches: What is trained on.
        eval_inputs: What is evaluated and not trained on.
        precision: What is computed in.
        device: Of the model.
        shifts: Whether the loss shifts the labels.

    Attributes:
        history: The records so far.
        verdicts: The last judgement.
        proof: That frozen tensors did not change; None before the end.
        before: Name -> digest of each tensor before the first step; empty before the end.
        problem: What ended it, None while it is well.
        stopped_early: Why it ended before its last step.
        eval_parts: Step -> (mean loss, label tokens) of each held-out micro-batch.
        trained: What had trained at the end, in host memory, by the names of the plan.
        run: What is alive while it runs; None before and after.
        tried: The micro-batches of the step that is being taken.
        is_evaluating: Whether held-out data is being evaluated.
        stop_requested: Set from any thread; read between micro-batches.
        saved: A state to begin from.
        began: On the monotonic clock; earlier by what was spent before it was saved.
        recording: Writes it down; put here by the burst before the first step.
    """

    recording: Recording

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        settings: BurstSettings,
        batches: MicroBatches,
        eval_inputs: EvalInputs,
        precision: str,
        device: torch.device,
        shifts: bool,
    ) -> None:
        self.model, self.plan, self.settings = model, plan, settings
        self.batches, self.eval_inputs, self.device, self.shifts = batches, eval_inputs, device, shifts
        self._precision = precision
        self.history = History(NormLayout((), (), ()), plan.strategy.to_dict(), settings.to_dict())
        self.history.questions = tuple((question.prompt, question.target) for question in eval_inputs.questions)
        self.verdicts: tuple[Verdict, ...] = ()
        self.proof: Proof | None = None
        self.before: dict[str, str] = {}
        self.problem: VlmFreezeError | None = None
        self.stopped_early: str | None = None
        self.eval_parts: dict[int, tuple[tuple[float, int], ...]] = {}
        self.trained: dict[str, torch.Tensor] = {}
        self.run: TrainingRun | None = None
        self.tried: tuple[MicroBatch, ...] = ()
        self.is_evaluating = False
        self.stop_requested = False
        self._positions: LabelPositions | None = None
        self.saved: checkpoint.SavedBurst | None = None
        self.began = 0.0
        self._pid = os.getpid()

    @property
    def loss_positions(self) -> LossPositions | None:
        """At which positions the loss is computed, and why; None before that is known."""
        return None if self._positions is None else self._positions.found

    @property
    def _is_mine(self) -> bool:
        """False in a process that was forked while the burst ran."""
        return self._pid == os.getpid()

    def records(self) -> Generator[StepRecord, None, None]:
        """The burst: the model is changed from the first ``next()`` to the generator's end, however that comes."""
        run: TrainingRun | None = None
        broken = False
        try:
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.device)
            self.run = run = TrainingRun(self.model, self.plan, self.settings, self._precision, self.device)
            self.history.layout, self._positions = run.layout, run.positions
            self.began = time.monotonic()
            saved, self.saved = self.saved, None
            if self.eval_inputs:
                # Before a saved state is put on: retention is measured against the model without the burst.
                self.is_evaluating = True
                result = run.begin_evaluation(self.eval_inputs, self.shifts)
                self.is_evaluating = False
                if saved is None:
                    self._record_evaluation(0, result)
            if saved is not None:
                self.began = time.monotonic() - saved.data["spent"]
                self.history.notes += checkpoint.restore(saved, run, self.batches)
                saved = None
            self.recording.begin(run)
            yield from self._steps(run)
        except KeyboardInterrupt:
            self.stopped_early = say("interrupted")
            raise
        except Exception as caught:
            # torch's signal handler may raise it in the middle of a step.
            error = self.batches.as_lost(caught) or caught
            broken = True
            self.stopped_early = shorten(f"{type(error).__name__}: {error}", 300)
            if isinstance(error, VlmFreezeError):
                self.problem = error
            if error is not caught:
                raise error from caught
            raise
        finally:
            self.run = None
            if self._is_mine:  # in a forked child model, threads and run folder are the parent's
                self._end(run, broken)

    def _end(self, run: TrainingRun | None, broken: bool) -> None:
        if run is not None:
            self._leave(run)
        self.history.skipped = self.batches.skipped
        self.batches.end()
        self.recording.end(broken=broken)

    def _leave(self, run: TrainingRun) -> None:
        try:
            run.end()
        finally:
            self.trained = run.trained
        if run.half_taken and run.taken:
            self.history.tainted.append(f"Step {run.taken + 1} broke off while the weights were moving.")
        if run.taken > self.history.taken:
            self.history.notes.append(f"Step {run.taken} was taken; its record was lost to an interrupt.")

    def _steps(self, run: TrainingRun) -> Generator[StepRecord, None, None]:
        settings = self.settings
        rates = run.rates
        if (last_taken := self.history.last) is not None:
            rates = dict(last_taken.lr)
        try:
            for number in range(len(self.history) + 1, settings.steps + 1):
                # Batches: ``accumulation`` micro-batches of (rows, tokens) with at least one label token each.
                started = time.perf_counter()
                batches = self.batches.take(settings.accumulation)
                self.history.skipped = self.batches.skipped
                if not batches:
                    self.stopped_early = say("the batches ran out")
                    return
                # Step: forward, backward, norms, clip, update; its phases are commented in ``TrainingStep._take``.
                rates = run.rates
                due = number % settings.eval_interval == 0 or number == 1
                self.tried = tuple(batches)
                self.recording.saw(batches)
                shown = run.step(batches, lambda: self.stop_requested, number, measure=due or number == settings.steps)
                self.tried = ()
                if shown is None:
                    self.stopped_early = say("stopped")
                    return
                # Record: loss in nats per label token, norms before clipping, rates as they were in this step, seconds and bytes.
                seconds = time.perf_counter() - started
                over = settings.seconds is not None and time.monotonic() - self.began >= settings.seconds
                last = number == settings.steps or over
                evaluates = self.eval_inputs and (due or last) and shown.error is None
                record = StepRecord(
                    step=number,
                    loss=shown.loss,
                    lr=rates,
                    grad_norm=shown.grad_norm,
                    grad_norms=ModuleNorms(self.history.layout, shown.norms),
                    tokens=sum(b.label_tokens for b in batches),
                    seconds=seconds,
                    memory_bytes=torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else None,
                    input_tokens=sum(b.input_tokens for b in batches),
                    problem=shown.problem,
                    updates=shown.updates,
                )
                # Evaluation: held-out loss, retention and answers, with the model at rest; they are not part of the step's seconds.
                try:
                    if shown.interrupt is not None:
                        raise shown.interrupt
                    if evaluates:
                        self.is_evaluating = True
                        result = self._record_evaluation(number, run.evaluate())
                        self.is_evaluating = False
                        record = replace(record, eval_loss=result.eval_loss, retention=result.retention)
                        self.history.notes += [*run.notes, *non_finite_results(record)]
                        run.notes.clear()
                finally:
                    self.history.append(record)
                # Evidence: what each component has shown so far.
                if number == settings.verdict_after:
                    self.verdicts = run.verdicts(rates)
                if shown.error is not None:
                    self.problem = shown.error
                    self.stopped_early = shown.error.problem
                # Elsewhere: the user's loop has the control, and what it changes on the model is noticed.
                run.interference.leave(number)
                yield record
                run.interference.check()
                if self.problem is not None or number == settings.steps or self._is_over(run, over):
                    return
        finally:
            # Judged while the trained weights are still in the model.
            interrupt = run.shield.do(lambda: self._judge(run, rates)) if self._is_mine else None
            if interrupt is not None:
                raise interrupt

    def _judge(self, run: TrainingRun, rates: Mapping[str, float]) -> None:
        if run.is_suspended:
            return
        self.verdicts = run.verdicts(rates, is_over=True)
        self.proof = run.witness.proof
        self.before = run.witness.all_digests()
        run.interference.finish(self.proof.changed if self.proof is not None else ())
        self.history.tainted += run.interference.reasons

    def _record_evaluation(self, step: int, result: EvalResult) -> EvalResult:
        if step == 0:
            self.history.retention_start = result.retention
        if result.eval_parts:
            self.eval_parts[step] = result.eval_parts
        if result.answers is not None:
            self.history.answers.append(Answers(step, result.answers))
        return result

    def _is_over(self, run: TrainingRun, over: bool) -> bool:
        """Whether no further step is taken, and why."""
        if run.interference.is_broken:
            self.problem = _broken(run.interference.reasons[-1])
            self.stopped_early = self.problem.problem
        elif over:
            self.stopped_early = say("{n} seconds were up", n=f"{self.settings.seconds:g}")
        elif self.stop_requested:
            self.stopped_early = say("stopped")
        return self.stopped_early is not None


def _broken(reason: str) -> ModelBusy:
    return ModelBusy(
        "The model was moved or cast while the burst had it. It has its own weights again.",
        expected="a model that nobody else touches until the burst is over",
        found=reason,
        remedy="Call .to(), .half() and the like before the burst, or after it.",
    )
