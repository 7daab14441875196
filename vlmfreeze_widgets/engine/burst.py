"""The burst: a short stretch of real training as a generator of step records. Stopping is not asking for the next one.

What is alive meanwhile is in ``engine.training_run``, what a step does in ``engine.training_step``, what remains in
``engine.result``. No signal, no Jupyter.

Long because the public contract stands here, and the loop with all its ends must be read in one piece.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakSet

import torch
from torch import nn

from ..core.errors import ModelBusy, ModelNotTrainable, VlmFreezeError, WrongPhase
from ..core.history import Answers, History, StepRecord
from ..core.history_html import history_html, sentence
from ..core.language.phrase import say
from ..core.memory_advice import MemoryAdvice
from ..core.norms import ModuleNorms, NormLayout
from ..core.plan import Plan
from ..core.plan_text import sentence as text_of_plan
from ..core.proof import Proof
from ..core.strategy import Strategy
from ..core.verdict import Verdict
from . import burst_state, lost_device
from .answers import Question
from .apply import plan_for
from .batch_position import rows_of
from .feature_cache import cacheable
from .masters import computed_precision
from .micro_batches import MicroBatch, MicroBatches
from .out_of_memory import LOOK_AT_LESS, NEED_LESS, is_out_of_memory, let_go, told
from .ownership import check_free
from .randomness import RandomStream
from .recording import Recording, RunFolderChoice
from .result import BurstResult
from .saving import Saving
from .settings import BurstSettings
from .smaller_batch import SmallerBatch
from .state_list import saved_states
from .trackers import Tracker, trackers
from .trainable import check_trainable
from .training_run import TrainingRun
from .watch import Look, Watched, decoder, non_finite_looks
from .wrappers import unwrap

_open: WeakSet[Burst] = WeakSet()


@atexit.register
def _close_all() -> None:
    """A burst that is still open when Python ends would be taken apart in any order, and torch abort the process."""
    for burst in list(_open):
        if not burst._generator.gi_running:
            burst.close()


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
        run_folder: Below it the burst writes a folder of its own as it goes, which ``vf.load_run`` reads, whatever becomes of this
            process. By default what the variable VLMFREEZE_RUNS names; without it, and with False, nothing is written.
        report_to: "trackio", "tensorboard", "wandb", several of them, or a ``Tracker`` of your own.
        settings: Instead of the single settings; these are the fields of ``BurstSettings``.

    Attributes:
        recording: Where it is written down; ``.folder`` is its run folder.
        history: The records so far.
        verdicts: The last judgement.
        proof: That frozen tensors did not change; None before the end.
        problem: What ended the burst, None while it is well.
        eval_parts: Step -> (mean loss, label tokens) of each held-out micro-batch at that look; step 0 is before training.

    Raises:
        VlmFreezeError: Before anything is changed: unknown targets, nothing trainable, a busy or meta model, bad settings.
            From ``next()`` and ``run()``: OutOfMemory, which names a size that was seen to run; RestartNeeded, after a
            device-side assert: what was recorded is written first, and no further burst starts in this process.

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
        run_folder: RunFolderChoice = None,
        report_to: str | Iterable[str | Tracker] | Tracker | None = None,
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
        self._watched = Watched(
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
        self.proof: Proof | None = None
        self._before: dict[str, str] = {}
        self._stop = False
        self._stopped_early: str | None = None
        self._result: BurstResult | None = None
        self._trained: dict[str, torch.Tensor] = {}
        self._seen_to_run: MemoryAdvice | None = None
        self.problem: VlmFreezeError | None = None
        self.eval_parts: dict[int, tuple[tuple[float, int], ...]] = {}
        self._tried: tuple[MicroBatch, ...] = ()
        self._looking = False
        self._run: TrainingRun | None = None
        self._saved: burst_state.SavedBurst | None = None
        self._saving: Saving | None = None
        self._id = uuid4().hex
        self._began = 0.0
        self.recording = Recording(self, run_folder, trackers(report_to))
        self._generator: Generator[StepRecord, None, None] = self._records()
        _open.add(self)

    def __iter__(self) -> Iterator[StepRecord]:
        return self

    def __next__(self) -> StepRecord:
        self.put_back()
        try:
            return next(self._generator)
        except Exception as error:
            if not lost_device.is_lost(error) and not is_out_of_memory(error):
                raise
            failed = error
        # Outside the handler: raised within, it would carry the error and all that its frames hold.
        shown = self._told(failed)
        del failed
        raise shown

    def _told(self, failed: Exception) -> VlmFreezeError:
        """The error that the person sees in place of one of the device's; what that one held is let go."""
        tried, self._tried = self._tried, ()
        shown: VlmFreezeError
        if lost_device.is_lost(failed):
            lost_device.mark_lost(failed, self._device)
            let_go(failed)
            self.problem = lost_device.told(self._device, None)
            self._stopped_early = self.problem.problem
            folder = lost_device.save_first(self.result()) if len(self.history) else None
            shown = lost_device.told(self._device, folder)
            if self._result is not None:
                self._result.problem = shown
        else:
            let_go(failed, self._device)
            rows = max((rows_of(b.tensors) for b in tried), default=self.batches.position.rows_per_batch)
            self._seen_to_run = None
            advice = self._advice(tried)
            shown = out_of_memory = told(failed, rows, self._device, advice)
            out_of_memory.advice = self._seen_to_run
        self.problem = shown
        self._stopped_early = shown.problem
        self.recording.failed(shown)
        return shown

    def _advice(self, tried: tuple[MicroBatch, ...]) -> str:
        """What a search on the restored model found to run, in words; "" where there was none."""
        if self._looking:
            return LOOK_AT_LESS
        if not tried:
            return NEED_LESS
        if self.settings.on_out_of_memory != "search":
            return ""
        search = SmallerBatch(self.model, self.plan, self.settings, lambda: self._stop, type(self))
        advice = search.advice(max(tried, key=lambda b: (b.input_tokens, rows_of(b.tensors))))
        self._seen_to_run = search.found
        return advice

    def __enter__(self) -> Burst:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Burst: {self._head()}"

    def _repr_html_(self) -> str:
        return history_html(self.history, self._head(), [f"✗ {self.problem}"] if self.problem else ())

    def _head(self) -> str:
        over = self._result is not None or self._generator.gi_frame is None
        where = "over" if over else f"of {self.settings.steps} steps" if len(self.history) else "not begun"
        return f"{text_of_plan(self.plan)}; {sentence(self.history)} ({where})"

    def stop(self) -> None:
        """Asks for the end, from any thread. Read between micro-batches; a step that was begun is given up, not half taken."""
        self._stop = True

    @property
    def stopped_early(self) -> str | None:
        """Why it ended before its last step; None while it runs, and when it did not."""
        return self._stopped_early

    @property
    def trained_values(self) -> Mapping[str, torch.Tensor]:
        """What had trained when the burst ended, in host memory, by the names of the plan; empty before that."""
        return self._trained

    def set_aside(self) -> None:
        """Between two steps: gives the model back for a while, to another burst say. The next step, or the end, takes it again.

        What trained waits in host memory, the optimizer's state where it is; both go on bit for bit.
        """
        run = self._run
        if run is None or run.is_aside or self._generator.gi_running:
            return
        run.set_aside()
        if not run.is_aside:
            next(self._generator, None)  # the model was moved or cast: that ends the burst

    def put_back(self) -> None:
        """Undoes ``set_aside``.

        Raises:
            ModelBusy: Somebody else has the model.
        """
        if self._run is not None and self._run.is_aside:
            self._run.put_back()

    def close(self) -> None:
        """Ends the burst where it is and gives the model back."""
        with suppress(ModelBusy):  # then it ends without a last judgement
            self.put_back()
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
                proof=self.proof,
                before=self._before,
            )
        return self._result

    def save_state(self, folder: str | Path) -> Path:
        """Writes all that is needed to go on later, bit for bit, in another process too: between two steps, or while paused.

        Args:
            folder: Gets a folder per state; the last two of this burst stay. A state is there whole or not at all.

        Returns:
            The folder of this state.

        Raises:
            WrongPhase: The burst has not begun, is over, or is in the middle of a step on another thread.
            CannotSave: Disk full, no permission; what was saved before is intact, and the burst can go on.
        """
        return self._state_writer(folder, copy=False)()

    def start_saving(self, folder: str | Path) -> Saving:
        """As ``save_state``, but on a thread of its own while the burst goes on: for slow disks. Holds a copy of what trains.

        Args:
            folder: As for ``save_state``.

        Returns:
            ``.wait()`` gives the folder of this state, or raises what the disk said. States are written in their order.

        Raises:
            WrongPhase: As for ``save_state``.
        """
        self._saving = Saving(self._state_writer(folder, copy=True), self._saving)
        return self._saving

    def _state_writer(self, folder: str | Path, *, copy: bool) -> Callable[[], Path]:
        self.put_back()
        run = self._between_steps()
        spent = time.monotonic() - self._began
        return burst_state.writer(Path(folder), self._id, run, self.batches, self.history, spent, copy=copy)

    def _between_steps(self) -> TrainingRun:
        run = self._run
        if run is None or self._generator.gi_running:
            raise WrongPhase(
                "The burst cannot be saved now.",
                expected="a burst between two steps",
                found="one in the middle of a step"
                if self._generator.gi_running
                else "one that has not begun, or is over",
                remedy="Save inside the loop, or while it is paused. What is over is written by burst.result().save(folder).",
            )
        return run

    @staticmethod
    def saved_states(folder: str | Path) -> list[Path]:
        """The whole, unspoilt states in a folder, the newest last."""
        return saved_states(folder)

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        model: nn.Module,
        batches: Iterable[Any],
        *,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # noqa: ANN401 - a processor, a tokenizer, or a function from ids to text
        run_folder: RunFolderChoice = None,
        report_to: str | Iterable[str | Tracker] | Tracker | None = None,
        **changes: Any,  # noqa: ANN401 - fields of BurstSettings
    ) -> Burst:
        """A burst that goes on where it was saved, with the same numbers that it would have had.

        Args:
            folder: What was given to ``save_state``, or one of the states in it.
            model: As it was before the burst.
            batches: The same source. Its last pass is read again up to the place, so a shuffled one costs that time. With another
                batch size the rows that were seen are passed over, and ``history.notes`` says so.
            eval_batches: As before.
            retention_batches: As before.
            questions: As before.
            processor: As before.
            run_folder: As of a burst; the new folder holds the steps from before, too.
            report_to: As of a burst.
            changes: Settings that may be otherwise than before: ``steps``, ``seconds``, ``accumulation``, ...

        Raises:
            BadState: Nothing whole is there, or it is of another model; the model is untouched.
        """
        saved = burst_state.load(folder)
        for name in changes:
            if name not in burst_state.MAY_CHANGE:
                raise TypeError(
                    f"{name!r} cannot change when a burst goes on; {', '.join(burst_state.MAY_CHANGE)} can."
                )
        before = BurstSettings.from_dict(saved.history.settings)
        settings = replace(before, **changes)
        burst = cls(
            model, Strategy.from_dict(saved.history.strategy), batches, eval_batches=eval_batches, settings=settings,
            retention_batches=retention_batches, questions=questions, processor=processor, run_folder=run_folder,
            report_to=report_to,
        )  # fmt: skip
        saved.history.settings = dict(settings.to_dict())
        saved.history.notes += [
            f"{name} is {value!r} from step {saved.number + 1} on; it was {getattr(before, name)!r}."
            for name, value in changes.items()
            if value != getattr(before, name)
        ]
        burst.go_on_from(saved)
        burst._id = str(saved.data["burst"])
        return burst

    def copied_state(self) -> burst_state.SavedBurst:
        """The state between two steps, in memory, for ``go_on_from`` of another burst that trains the same tensors.

        Raises:
            WrongPhase: The burst has not begun, is over, or is in the middle of a step on another thread.
        """
        self.put_back()
        return burst_state.copied(self._between_steps(), self.batches, self.history)

    def go_on_from(self, saved: burst_state.SavedBurst) -> None:
        """Lets this burst, which has not begun, go on where another stood; the settings and rates are its own."""
        saved.history.strategy = dict(self.history.strategy)
        self.history = saved.history
        self._saved = saved

    def _records(self) -> Generator[StepRecord, None, None]:
        run: TrainingRun | None = None
        broken = False
        try:
            if self._device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self._device)
            self._run = run = TrainingRun(self.model, self.plan, self.settings, self._precision, self._device)
            self.history.layout = run.layout
            self._began = time.monotonic()
            saved, self._saved = self._saved, None
            if self._watched:
                # Before a saved state is put on: retention is measured against the model without the burst.
                self._looking = True
                look = run.begin_watch(self._watched, self._shifts)
                self._looking = False
                if saved is None:
                    self._see(0, look)
            if saved is not None:
                self._began = time.monotonic() - saved.data["spent"]
                self.history.notes += burst_state.restore(saved, run, self.batches)
                saved = None
            self.recording.begin(run)
            yield from self._steps(run)
        except KeyboardInterrupt:
            self._stopped_early = say("interrupted")
            raise
        except Exception as caught:
            # torch's signal handler may raise it in the middle of a step.
            error = self.batches.as_lost(caught) or caught
            broken = True
            self._stopped_early = f"{type(error).__name__}: {error}"[:300]
            if isinstance(error, VlmFreezeError):
                self.problem = error
            if error is not caught:
                raise error from caught
            raise
        finally:
            self._run = None
            if run is not None:
                self._leave(run)
            self.history.skipped = self.batches.skipped
            self.batches.end()
            self.recording.end(broken=broken)

    def _leave(self, run: TrainingRun) -> None:
        try:
            run.end()
        finally:
            self._trained = run.trained
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
                started = time.perf_counter()
                batches = self.batches.take(settings.accumulation)
                self.history.skipped = self.batches.skipped
                if not batches:
                    self._stopped_early = say("the batches ran out")
                    return
                rates = run.rates
                due = number % settings.eval_interval == 0 or number == 1
                self._tried = tuple(batches)
                self.recording.saw(batches)
                shown = run.step(batches, lambda: self._stop, number, measure=due or number == settings.steps)
                self._tried = ()
                if shown is None:
                    self._stopped_early = say("stopped")
                    return
                seconds = time.perf_counter() - started
                over = settings.seconds is not None and time.monotonic() - self._began >= settings.seconds
                last = number == settings.steps or over
                looks = self._watched and (due or last) and shown.error is None
                record = StepRecord(
                    step=number,
                    loss=shown.loss,
                    lr=rates,
                    grad_norm=shown.grad_norm,
                    grad_norms=ModuleNorms(self.history.layout, shown.norms),
                    tokens=sum(b.label_tokens for b in batches),
                    seconds=seconds,
                    memory_bytes=torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else None,
                    input_tokens=sum(b.input_tokens for b in batches),
                    problem=shown.problem,
                    updates=shown.updates,
                )
                try:
                    if shown.interrupt is not None:
                        raise shown.interrupt
                    if looks:
                        self._looking = True
                        look = self._see(number, run.look())
                        self._looking = False
                        record = replace(record, eval_loss=look.eval_loss, retention=look.retention)
                        self.history.notes += non_finite_looks(record)
                finally:
                    self.history.append(record)
                if number == settings.verdict_after:
                    self.verdicts = run.verdicts(rates)
                if shown.error is not None:
                    self.problem = shown.error
                    self._stopped_early = shown.error.problem
                run.watch.leave(number)
                yield record
                run.watch.look()
                if self.problem is not None or number == settings.steps or self._is_over(run, over):
                    return
        finally:
            # Judged while the trained weights are still in the model.
            interrupt = run.hand.do(lambda: self._judge(run, rates))
            if interrupt is not None:
                raise interrupt

    def _judge(self, run: TrainingRun, rates: Mapping[str, float]) -> None:
        if run.is_aside:
            return
        self.verdicts = run.verdicts(rates)
        self.proof = run.witness.proof
        self._before = run.witness.all_digests()
        run.watch.finish(self.proof.changed if self.proof is not None else ())
        self.history.tainted += run.watch.reasons

    def _see(self, step: int, look: Look) -> Look:
        if step == 0:
            self.history.retention_start = look.retention
        if look.eval_parts:
            self.eval_parts[step] = look.eval_parts
        if look.answers is not None:
            self.history.answers.append(Answers(step, look.answers))
        return look

    def _is_over(self, run: TrainingRun, over: bool) -> bool:
        """Whether no further step is taken, and why."""
        if run.watch.is_broken:
            self.problem = _broken(run.watch.reasons[-1])
            self._stopped_early = self.problem.problem
        elif over:
            self._stopped_early = f"{self.settings.seconds:g} seconds were up"
        elif self._stop:
            self._stopped_early = say("stopped")
        return self._stopped_early is not None


def _broken(reason: str) -> ModelBusy:
    return ModelBusy(
        "The model was moved or cast while the burst had it. It has its own weights again.",
        expected="a model that nobody else touches until the burst is over",
        found=reason,
        remedy="Call .to(), .half() and the like before the burst, or after it.",
    )


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
