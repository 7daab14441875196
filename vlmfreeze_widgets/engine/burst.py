"""The burst: a short stretch of real training as a generator of step records. Stopping is not asking for the next one.

What a step does is in ``engine.training_step``, what remains afterwards in ``engine.result``. No thread, no signal, no Jupyter.

Long because the public contract stands here, and taking and giving back the model must be read in one piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ..core.errors import ModelNotTrainable
from ..core.history import History, StepRecord
from ..core.norms import ModuleNorms, NormLayout
from ..core.plan import Plan
from ..core.strategy import Strategy
from ..core.verdict import Verdict
from .apply import AppliedModel, apply, plan_for
from .checkpointing import enable_checkpointing
from .evidence import Witness
from .masters import Masters, check_precision
from .micro_batches import MicroBatches
from .optimizer import autocast, make_optimizer, make_schedule, rates_of
from .ownership import check_free
from .randomness import RandomStream, draws_random_numbers
from .result import BurstResult
from .settings import BurstSettings
from .trainable import check_trainable
from .training_step import TrainingStep
from .wrappers import unwrap


class Burst:
    """A short training run that leaves the model as it was, unless its result is kept.

    Iterating gives a ``StepRecord`` per optimizer step; the model is changed only between the first ``next()`` and
    ``result()`` (or ``close()``, or the end of a ``with`` block).

    Args:
        model: A real model. Its own ``forward`` computes the loss from a batch with labels.
        strategy: What trains: a Strategy, a mapping of rules, or a Plan for this model.
        batches: Yields dicts of tensors with ``labels``; read again from the start when it ends.
        lr: Rate of whatever has no rate in the strategy.
        eval_batches: Held-out batches for ``record.eval_loss``.
        settings: Instead of the single settings; these are the fields of ``BurstSettings``.

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
        check_precision(model, self.settings.precision)
        config = getattr(model, "config", None)
        self._shifts = not getattr(config, "is_encoder_decoder", False)
        self.batches = MicroBatches(batches, self._shifts)
        self._eval = None if eval_batches is None else list(_all(eval_batches, self._shifts))
        self.history = History(NormLayout((), (), ()), self.plan.strategy.to_dict(), self.settings.to_dict())
        self.verdicts: tuple[Verdict, ...] = ()
        self._stop = False
        self._stopped_early: str | None = None
        self._result: BurstResult | None = None
        self._trained: dict[str, torch.Tensor] = {}
        self._failed: BaseException | None = None
        self._generator: Generator[StepRecord, None, None] = self._records()

    def __iter__(self) -> Iterator[StepRecord]:
        return self

    def __next__(self) -> StepRecord:
        return next(self._generator)

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
            VlmFreezeError: A step failed; the model is as before here too.
        """
        for record in self:
            if on_record is not None:
                on_record(record)
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
            )
        return self._result

    def _records(self) -> Generator[StepRecord, None, None]:
        settings = self.settings
        device = _device_of(self.model)
        stream = RandomStream(settings.seed, device)
        # LoRA's A is drawn from the burst's stream too (B is zero): the seed fixes it, and nobody else's numbers move.
        with stream.active():
            applied = apply(self.model, self.plan, owner="a running burst")
        try:
            in_stream = stream.active if draws_random_numbers(self.model) else nullcontext
            if settings.checkpointing:
                enable_checkpointing(self.model)
                applied.set_training_mode()
            masters = Masters([t.parameter for t in applied.trainables])
            optimizer = make_optimizer(applied, masters, settings)
            schedule = make_schedule(optimizer, settings)
            optimized = {id(t) for g in optimizer.param_groups for t in g["params"]}
            held = frozenset(id(p) for p in masters.parameters if id(masters.of(p)) in optimized)
            witness = Witness(applied, held)
            self.history.layout = _layout(applied)
            step = TrainingStep(
                self.model, masters, optimizer, settings.max_grad_norm, autocast(settings.precision, device), device
            )
            yield from self._steps(applied, step, optimizer, schedule, witness, in_stream, device)
        except BaseException as error:
            if not isinstance(error, GeneratorExit):
                self._failed = error
            raise
        finally:
            self._trained = applied.revert()
            self.history.skipped = self.batches.skipped

    def _steps(
        self,
        applied: AppliedModel,
        step: TrainingStep,
        optimizer: torch.optim.Optimizer,
        schedule: Any,  # noqa: ANN401 - LRScheduler or None
        witness: Witness,
        in_stream: Callable[[], AbstractContextManager[Any]],
        device: torch.device,
    ) -> Generator[StepRecord, None, None]:
        settings = self.settings
        record: StepRecord | None = None
        try:
            for number in range(1, settings.steps + 1):
                began = time.perf_counter()
                batches = self.batches.take(settings.accumulation)
                self.history.skipped = self.batches.skipped
                if not batches:
                    self._stopped_early = "the batches ran out"
                    return
                rates = rates_of(optimizer)
                # Autocast is off around the step, not only the forward: backward would follow a cell's autocast too.
                with in_stream(), torch.autocast(device.type, enabled=False):
                    taken = step.take(batches, lambda: self._stop, number)
                if taken is None:
                    self._stopped_early = "stopped"
                    return
                if schedule is not None:
                    schedule.step()
                witness.see_step(taken.norms)
                seconds = time.perf_counter() - began
                last = number == settings.steps
                look = self._eval is not None and (number % settings.eval_interval == 0 or number == 1 or last)
                record = StepRecord(
                    step=number,
                    loss=taken.loss,
                    lr=rates,
                    grad_norm=taken.grad_norm,
                    grad_norms=ModuleNorms(self.history.layout, taken.norms),
                    tokens=sum(b.label_tokens for b in batches),
                    seconds=seconds,
                    memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
                    eval_loss=self._evaluate(applied, step) if look else None,
                    input_tokens=sum(b.input_tokens for b in batches),
                )
                self.history.append(record)
                if number == settings.verdict_after:
                    self.verdicts = witness.verdicts(rates)
                yield record
                if self._stop and not last:
                    self._stopped_early = "stopped"
                    return
        finally:
            # Judged while the trained weights are still in the model.
            self.verdicts = witness.verdicts(record.lr if record is not None else rates_of(optimizer))

    def _evaluate(self, applied: AppliedModel, step: TrainingStep) -> float:
        assert self._eval is not None
        self.model.eval()
        loss, tokens = 0.0, 0
        try:
            with torch.no_grad():
                for batch in self._eval:
                    loss += float(step.loss_of(batch)) * batch.label_tokens
                    tokens += batch.label_tokens
        finally:
            applied.set_training_mode()
        return loss / tokens


def _settings(values: Mapping[str, Any]) -> BurstSettings:
    known = BurstSettings.__dataclass_fields__
    for name in values:
        if name not in known:
            raise TypeError(f"Burst has no setting {name!r}. Known: {', '.join(known)}.")
    return BurstSettings(**values)


def _layout(applied: AppliedModel) -> NormLayout:
    return NormLayout(
        tuple(t.name for t in applied.trainables),
        tuple(t.module for t in applied.trainables),
        tuple(t.component for t in applied.trainables),
    )


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _all(batches: Iterable[Any], shifts: bool) -> Iterator[Any]:
    reader = MicroBatches(list(batches), shifts)
    yield from reader.take(reader.size)
