"""The burst: a short stretch of real training as a generator of step records. Stopping is not asking for the next one.

What is alive meanwhile is in ``engine.training_run``, what a step does in ``engine.training_step``, what remains in
``engine.result``. No signal, no Jupyter.

Long because the public contract stands here, and the loop with all its ends must be read in one piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from ..core.errors import ModelNotTrainable, VlmFreezeError
from ..core.history import Answers, History, StepRecord
from ..core.norms import ModuleNorms, NormLayout
from ..core.plan import Plan
from ..core.strategy import Strategy
from ..core.verdict import Verdict
from .answers import Question
from .apply import plan_for
from .feature_cache import cacheable
from .masters import computed_precision
from .micro_batches import MicroBatch, MicroBatches
from .out_of_memory import is_out_of_memory, let_go, told
from .ownership import check_free
from .randomness import RandomStream
from .result import BurstResult
from .settings import BurstSettings
from .trainable import check_trainable
from .training_run import TrainingRun
from .watch import Look, Watch, decoder
from .wrappers import unwrap


class Burst:
    """A short training run that leaves the model as it was, unless its result is kept.

    Iterating gives a ``StepRecord`` per optimizer step; the model is changed only between the first ``next()`` and
    ``result()`` (or ``close()``, or the end of a ``with`` block). When loss or gradients are not finite the step is not
    taken and the iteration ends: the last record and ``problem`` say so, and the result is that of the steps before.

    Args:
        model: A real model. Its own ``forward`` computes the loss from a batch with labels.
        strategy: What trains: a Strategy, a mapping of rules, or a Plan for this model.
        batches: Yields dicts of tensors with ``labels``; read again from the start when it ends.
        lr: Rate of whatever has no rate in the strategy.
        eval_batches: Held-out batches for ``record.eval_loss``.
        retention_batches: Text-only batches with labels: loss and KL against the start, so that forgetting is seen.
        questions: Asked before the first step, now and then, and at the end; answers are in ``history.answers``.
        processor: The model's, its tokenizer, or a function from token ids to text; needed with ``questions``.
        settings: Instead of the single settings; these are the fields of ``BurstSettings``.

    Attributes:
        history: The records so far.
        verdicts: The last judgement.
        problem: What ended the burst, None while it is well.

    Raises:
        VlmFreezeError: Before anything is changed: unknown targets, nothing trainable, a busy or meta model, bad settings.

    Example:
        >>> burst = vf.Burst(demo.model, {"projector": "full"}, demo.batches, steps=50, lr=1e-3)
        >>> for record in burst:
        ...     print(record.step, record.loss, record.grad_norm)
        >>> result = burst.result()
    """

    def __init__(
        self,
        model: nn.Module,
        strategy: Strategy | Plan | Mapping[str, object],
        batches: Iterable[Any],
        *,
        lr: float | None = None,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # noqa: ANN401 - a processor, a tokenizer, or a function from ids to text
        settings: BurstSettings | None = None,
        **single_settings: Any,  # noqa: ANN401 - fields of BurstSettings
    ) -> None:
        if not isinstance(model, nn.Module):
            raise ModelNotTrainable(
                "There is no model to train.",
                expected="a torch.nn.Module with weights",
                found=type(model).__name__,
                remedy="Load it first; a config or a folder can be planned and costed, not trained.",
            )
        self.settings = settings or _settings(single_settings)
        model = unwrap(model)
        check_free(model)
        if lr is not None and not isinstance(strategy, Plan):
            asked = strategy if isinstance(strategy, Strategy) else Strategy(strategy)
            strategy = Strategy(asked.rules, {"": lr, **asked.lr}, asked.weight_decay, asked.name)
        self.model = model
        self.plan = plan_for(model, strategy)
        self.plan.check()
        check_trainable(model, self.plan)
        self._precision = computed_precision(model, self.settings.precision, self.plan.trainable)
        config = getattr(model, "config", None)
        self._shifts = not getattr(config, "is_encoder_decoder", False)
        self._device = _device_of(model)
        drawn = RandomStream(self.settings.seed, self._device, with_libraries=True)
        self.batches = MicroBatches(batches, self._shifts, drawn)
        unseen = RandomStream(self.settings.seed, self._device, with_libraries=True)
        asked = tuple(questions)
        self._watch = Watch(
            () if eval_batches is None else tuple(_all(eval_batches, self._shifts, unseen)),
            () if retention_batches is None else tuple(_all(retention_batches, self._shifts, unseen)),
            asked,
            decoder(processor, asked),
        )
        self.history = History(NormLayout((), (), ()), self.plan.strategy.to_dict(), self.settings.to_dict())
        self.history.questions = tuple((question.prompt, question.target) for question in asked)
        if self.settings.cache_features:
            cacheable(self.plan, model)
        self.verdicts: tuple[Verdict, ...] = ()
        self._stop = False
        self._stopped_early: str | None = None
        self._result: BurstResult | None = None
        self._trained: dict[str, torch.Tensor] = {}
        self.problem: VlmFreezeError | None = None
        self._run: TrainingRun | None = None
        self._generator: Generator[StepRecord, None, None] = self._records()

    def __iter__(self) -> Iterator[StepRecord]:
        return self

    def __next__(self) -> StepRecord:
        try:
            return next(self._generator)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.problem = shown = told(error, self.batches.position.rows_per_batch, self._device)
            self._stopped_early = shown.problem
            let_go(error, self._device)
        raise shown  # outside the handler: raised within, it would carry the error and all that its frames hold

    def __enter__(self) -> Burst:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stop(self) -> None:
        """Asks for the end, from any thread. Read between micro-batches; a step that was begun is given up, not half taken."""
        self._stop = True

    @property
    def trained_values(self) -> Mapping[str, torch.Tensor]:
        """What had trained when the burst ended, in host memory, by the names of the plan; empty before that."""
        return self._trained

    def close(self) -> None:
        """Ends the burst where it is and gives the model back."""
        self._generator.close()

    def run(self, on_record: Callable[[StepRecord], None] | None = None) -> BurstResult:
        """Takes all remaining steps.

        Args:
            on_record: Called with each record.

        Returns:
            The result; the model is as before.

        Raises:
            VlmFreezeError: A step failed; the model is as before here too, and ``result()`` is that of the steps before.
        """
        try:
            for record in self:
                if on_record is not None:
                    on_record(record)
        finally:
            self.close()
        if self.problem is not None:
            raise self.problem
        return self.result()

    def result(self) -> BurstResult:
        """What the burst left; ends it first if it still runs."""
        self.close()
        if self._result is None:
            self._result = BurstResult(
                model=self.model,
                plan=self.plan,
                history=self.history,
                verdicts=self.verdicts,
                trained=self._trained,
                stopped_early=self._stopped_early,
                problem=self.problem,
            )
        return self._result

    def _records(self) -> Generator[StepRecord, None, None]:
        run: TrainingRun | None = None
        try:
            self._run = run = TrainingRun(self.model, self.plan, self.settings, self._precision, self._device)
            self.history.layout = run.layout
            yield from self._steps(run)
        except KeyboardInterrupt:
            self._stopped_early = "interrupted"
            raise
        except Exception as error:
            self._stopped_early = f"{type(error).__name__}: {error}"[:300]
            if isinstance(error, VlmFreezeError):
                self.problem = error
            raise
        finally:
            self._run = None
            if run is not None:
                if run.half_taken and run.taken:
                    self.history.tainted.append(f"Step {run.taken + 1} broke off while the weights were moving.")
                self._trained = run.end()
            self.history.skipped = self.batches.skipped

    def _steps(self, run: TrainingRun) -> Generator[StepRecord, None, None]:
        settings = self.settings
        began = time.monotonic()
        rates = run.rates
        if self._watch:
            self._see(0, run.begin_watch(self._watch, self._shifts))
        try:
            for number in range(1, settings.steps + 1):
                started = time.perf_counter()
                batches = self.batches.take(settings.accumulation)
                self.history.skipped = self.batches.skipped
                if not batches:
                    self._stopped_early = "the batches ran out"
                    return
                rates = run.rates
                due = number % settings.eval_interval == 0 or number == 1
                shown = run.step(batches, lambda: self._stop, number, measure=due or number == settings.steps)
                if shown is None:
                    self._stopped_early = "stopped"
                    return
                seconds = time.perf_counter() - started
                over = settings.seconds is not None and time.monotonic() - began >= settings.seconds
                last = number == settings.steps or over
                looks = self._watch and (due or last) and shown.error is None
                look = self._see(number, run.look()) if looks else Look()
                record = StepRecord(
                    step=number,
                    loss=shown.loss,
                    lr=rates,
                    grad_norm=shown.grad_norm,
                    grad_norms=ModuleNorms(self.history.layout, shown.norms),
                    tokens=sum(b.label_tokens for b in batches),
                    seconds=seconds,
                    memory_bytes=torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None,
                    eval_loss=look.eval_loss,
                    input_tokens=sum(b.input_tokens for b in batches),
                    problem=shown.problem,
                    retention=look.retention,
                    updates=shown.updates,
                )
                self.history.append(record)
                if shown.interrupt is not None:
                    raise shown.interrupt
                if number == settings.verdict_after:
                    self.verdicts = run.verdicts(rates)
                if shown.error is not None:
                    self.problem = shown.error
                    self._stopped_early = shown.error.problem
                    yield record
                    return
                yield record
                if self._stop and not last:
                    self._stopped_early = "stopped"
                    return
                if over and number < settings.steps:
                    self._stopped_early = f"{settings.seconds:g} seconds were up"
                    return
        finally:
            # Judged while the trained weights are still in the model.
            self.verdicts = run.verdicts(rates)

    def _see(self, step: int, look: Look) -> Look:
        if step == 0:
            self.history.retention_start = look.retention
        if look.answers is not None:
            self.history.answers.append(Answers(step, look.answers))
        return look


def _settings(values: Mapping[str, Any]) -> BurstSettings:
    known = BurstSettings.__dataclass_fields__
    for name in values:
        if name not in known:
            raise TypeError(f"Burst has no setting {name!r}. Known: {', '.join(known)}.")
    return BurstSettings(**values)


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _all(batches: Iterable[Any], shifts: bool, stream: RandomStream) -> Iterator[MicroBatch]:
    with nullcontext() if isinstance(batches, list | tuple) else stream.active():
        kept = list(batches)
    reader = MicroBatches(kept, shifts)
    yield from reader.take(reader.size)
