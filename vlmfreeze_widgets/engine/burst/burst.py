"""The burst: a short stretch of real training as a generator of step records. Stopping is not asking for the next one.

The loop is in ``engine.burst.loop``, what is alive meanwhile in ``engine.burst.training_run``, what a step does in
``engine.step.training_step``, what remains in ``engine.burst.result``. No signal, no Jupyter.

Long because the public contract stands here: saving, going on, setting aside.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from inspect import GEN_CLOSED, GEN_RUNNING, getgeneratorstate
from pathlib import Path
from typing import Any
from uuid import uuid4
from weakref import WeakSet

import torch
from torch import nn

from ...core.arguments import BATCHES, FUNCTION, PATH, check_keyword, checked, found_for, maybe
from ...core.errors import InvalidOption, ModelBusy, UnknownArgument, VlmFreezeError, WrongPhase
from ...core.evidence.freeze_proof import Proof
from ...core.evidence.loss_positions import LossPositions
from ...core.evidence.verdict import Verdict
from ...core.former_names import FormerName
from ...core.history.history import History, StepRecord
from ...core.history.html import history_html, sentence
from ...core.strategy.accepted import STRATEGY_OR_PLAN
from ...core.strategy.general_rate import with_general_rate
from ...core.strategy.plan import Plan
from ...core.strategy.strategy import Strategy
from ...core.strategy.text import sentence as text_of_plan
from ..accepted import MODEL, WATCHED, burst_settings
from ..apply.apply import plan_for
from ..apply.master_weights import computed_precision
from ..apply.trainable import check_trainable
from ..batches.micro_batch import MicroBatch
from ..batches.micro_batches import MicroBatches
from ..evidence.answers import Question
from ..evidence.evaluation import EvalInputs, decoder
from ..model.ownership import check_free
from ..model.wrappers import unwrap
from ..runs.background_write import Saving
from ..runs.trackers import Tracker, trackers
from ..settings import SETTINGS, BurstSettings
from ..step.feature_cache import cacheable
from ..tensors.random_streams import RandomStream
from . import checkpoint
from .device_errors import is_of_device, translate_device_error
from .loop import BurstLoop
from .recorder import Recording, RunFolderChoice
from .result import BurstResult
from .state_list import saved_states
from .training_run import TrainingRun

_open: WeakSet[Burst] = WeakSet()
_STEP_SECONDS = 60.0  # how long the last step may take to end when Python does


@atexit.register
def _close_all() -> None:
    """A burst that is still open when Python ends would be taken apart in any order, and torch abort the process."""
    known = list(_open)
    for burst in known:
        burst.stop()  # also one that another thread is in the middle of
    end = time.monotonic() + _STEP_SECONDS
    for burst in known:
        while getgeneratorstate(burst._generator) == GEN_RUNNING and time.monotonic() < end:
            time.sleep(0.01)
        with suppress(ValueError):  # its thread has begun the next step just now: it stops there
            burst.close()


if hasattr(os, "register_at_fork"):
    # A forked child has the same bursts; they are the parent's to end. ``BurstLoop`` does nothing more of them there.
    os.register_at_fork(after_in_child=_open.clear)


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
        questions: ExportRequest before the first step, now and then, and at the end; answers are in ``history.answers``.
        processor: The model's, its tokenizer, or a function from token ids to text; needed with ``questions``.
        run_folder: Below it the burst writes a folder of its own as it goes, which ``vf.load_run`` reads, whatever becomes of this
            process. By default what the variable VLMFREEZE_RUNS names; without it, and with False, nothing is written.
        report_to: "trackio", "tensorboard", "wandb", several of them, or a ``Tracker`` of your own.
        settings: Instead of the single settings.
        single_settings: Fields of ``BurstSettings``, such as ``steps=50``.

    Attributes:
        model: Without its wrappers.
        plan: What is applied to it.
        batches: What it trains on, and how far they were read.
        recording: Where it is written down; ``.folder`` is its run folder.

    Raises:
        VlmFreezeError: Before anything is changed: unknown targets, nothing trainable, a busy or meta model, bad settings.
            From ``next()`` and ``run()``: OutOfMemory, which names a size that was seen to run; RestartNeeded, after a
            device-side assert: what was recorded is written first, and no further burst starts in this process.

    Examples:
        >>> burst = vf.Burst(demo.model, {"projector": "full"}, demo.batches, steps=50, lr=1e-3)
        >>> for record in burst:
        ...     print(record.step, record.loss, record.grad_norm)
        >>> result = burst.result()
    """

    @checked(burst_settings, model=MODEL, strategy=STRATEGY_OR_PLAN, batches=BATCHES, settings=SETTINGS, **WATCHED)
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
        processor: Any = None,  # a processor, a tokenizer, or a function from ids to text
        run_folder: RunFolderChoice = None,
        report_to: str | Iterable[str | Tracker] | Tracker | None = None,
        settings: BurstSettings | None = None,
        **single_settings: Any,  # fields of BurstSettings
    ) -> None:
        self.settings = _settings(settings, single_settings)
        model = unwrap(model)
        check_free(model)
        strategy = with_general_rate(strategy, lr)
        self.model = model
        self.plan = plan_for(model, strategy)
        self.plan.check()
        check_trainable(model, self.plan)
        precision = computed_precision(model, self.settings.precision, self.plan.trainable)
        shifts = not getattr(getattr(model, "config", None), "is_encoder_decoder", False)
        device = _device_of(model)
        drawn = RandomStream(self.settings.seed, device, with_libraries=True)
        self.batches = MicroBatches(batches, shifts, drawn)
        unseen = RandomStream(self.settings.seed, device, with_libraries=True)
        answered = tuple(questions)
        eval_inputs = EvalInputs(
            () if eval_batches is None else tuple(_all(eval_batches, shifts, unseen)),
            () if retention_batches is None else tuple(_all(retention_batches, shifts, unseen)),
            answered,
            decoder(processor, answered),
        )
        if self.settings.cache_features:
            cacheable(self.plan, model)
        self._loop = BurstLoop(model, self.plan, self.settings, self.batches, eval_inputs, precision, device, shifts)
        self._result: BurstResult | None = None
        self._saving: Saving | None = None
        self._id = uuid4().hex
        self.recording = self._loop.recording = Recording(self._loop, run_folder, trackers(report_to))
        self._generator = self._loop.records()
        _open.add(self)

    def __iter__(self) -> Iterator[StepRecord]:
        return self

    def __next__(self) -> StepRecord:
        self.reinstate()
        try:
            return next(self._generator)
        except Exception as error:
            if not is_of_device(error):
                raise
            failed = error
        # Outside the handler: raised within, it would carry the error and all that its frames hold.
        shown = translate_device_error(self, self._loop, failed)
        del failed
        raise shown

    def __enter__(self) -> Burst:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Burst: {self._head()}"

    def _repr_html_(self) -> str:
        return history_html(self.history, self._head(), [f"✗ {self.problem}"] if self.problem else ())

    def _head(self) -> str:
        over = self._result is not None or getgeneratorstate(self._generator) == GEN_CLOSED
        where = "over" if over else f"of {self.settings.steps} steps" if len(self.history) else "not begun"
        return f"{text_of_plan(self.plan)}; {sentence(self.history)} ({where})"

    def stop(self) -> None:
        """Asks for the end, from any thread. Read between micro-batches; a step that was begun is given up, not half taken."""
        self._loop.stop_requested = True

    @property
    def history(self) -> History:
        """The records so far."""
        return self._loop.history

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The last judgement."""
        return self._loop.verdicts

    @property
    def proof(self) -> Proof | None:
        """That frozen tensors did not change; None before the end."""
        return self._loop.proof

    @property
    def problem(self) -> VlmFreezeError | None:
        """What ended the burst, None while it is well."""
        return self._loop.problem

    @property
    def loss_positions(self) -> LossPositions | None:
        """At which positions the loss is computed, and why; None before the first step."""
        return self._loop.loss_positions

    @property
    def eval_parts(self) -> dict[int, tuple[tuple[float, int], ...]]:
        """Step -> (mean loss, label tokens) of each held-out micro-batch at that look; step 0 is before training."""
        return self._loop.eval_parts

    @property
    def stopped_early(self) -> str | None:
        """Why it ended before its last step; None while it runs, and when it did not."""
        return self._loop.stopped_early

    @property
    def trained_values(self) -> Mapping[str, torch.Tensor]:
        """What had trained when the burst ended, in host memory, by the names of the plan; empty before that."""
        return self._loop.trained

    def suspend(self) -> None:
        """Between two steps: restores the model for a while, to another burst say. The next step, or the end, takes it again.

        What trained waits in host memory, the optimizer's state where it is; both go on bit for bit.
        """
        run = self._loop.run
        if run is None or run.is_suspended or getgeneratorstate(self._generator) == GEN_RUNNING:
            return
        run.suspend()
        if not run.is_suspended:
            next(self._generator, None)  # the model was moved or cast: that ends the burst

    def reinstate(self) -> None:
        """Undoes ``suspend``.

        Raises:
            ModelBusy: Another owner has the model.
        """
        run = self._loop.run
        if run is not None and run.is_suspended:
            run.reinstate()

    def close(self) -> None:
        """Ends the burst where it is and restores the model."""
        with suppress(ModelBusy):  # then it ends without a last judgement
            self.reinstate()
        self._generator.close()

    @checked(on_record=maybe(FUNCTION))
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
                trained=self._loop.trained,
                stopped_early=self.stopped_early,
                problem=self.problem,
                proof=self.proof,
                before=self._loop.before,
                loss_positions=self.loss_positions,
            )
        return self._result

    @checked(folder=PATH)
    def save_state(self, folder: str | Path) -> Path:
        """Writes all that is needed to go on later, bit for bit, in another process too: between two steps, or while paused.

        Args:
            folder: Gets a folder per state; the last two of this burst stay, and so does what it was resumed from. A state is
                there whole or not at all.

        Returns:
            The folder of this state.

        Raises:
            WrongPhase: The burst has not begun, is over, or is in the middle of a step on another thread.
            CannotSave: Disk full, no permission; what was saved before is intact, and the burst can go on.
        """
        return self._state_writer(folder, copy=False)()

    @checked(folder=PATH)
    def start_saving(self, folder: str | Path) -> Saving:
        """As ``save_state``, but on a thread of its own while the burst goes on: for slow disks. Holds a copy of what trains.

        Args:
            folder: As for ``save_state``.

        Returns:
            ``.wait()`` gives the folder of this state, or raises the disk's error. States are written in their order.

        Raises:
            WrongPhase: As for ``save_state``.
        """
        self._saving = Saving(self._state_writer(folder, copy=True), self._saving)
        return self._saving

    def _state_writer(self, folder: str | Path, *, copy: bool) -> Callable[[], Path]:
        self.reinstate()
        run = self._between_steps()
        spent = time.monotonic() - self._loop.began
        return checkpoint.writer(Path(folder), self._id, run, self.batches, self.history, spent, copy=copy)

    def _between_steps(self) -> TrainingRun:
        run = self._loop.run
        if run is None or getgeneratorstate(self._generator) == GEN_RUNNING:
            raise WrongPhase(
                "The burst cannot be saved now.",
                expected="a burst between two steps",
                found="one in the middle of a step"
                if getgeneratorstate(self._generator) == GEN_RUNNING
                else "one that has not begun, or is over",
                remedy="Save inside the loop, or while it is paused. What is over is written by burst.result().save(folder).",
            )
        return run

    @staticmethod
    @checked(folder=PATH)
    def saved_states(folder: str | Path) -> list[Path]:
        """The whole, unspoilt states in a folder, the newest last."""
        return saved_states(folder)

    @classmethod
    @checked(folder=PATH, model=MODEL, batches=BATCHES, **WATCHED)
    def resume(
        cls,
        folder: str | Path,
        model: nn.Module,
        batches: Iterable[Any],
        *,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # a processor, a tokenizer, or a function from ids to text
        run_folder: RunFolderChoice = None,
        report_to: str | Iterable[str | Tracker] | Tracker | None = None,
        **changes: Any,  # fields of BurstSettings
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
        saved = checkpoint.load(folder)
        for name, value in changes.items():
            if name not in checkpoint.MAY_CHANGE:
                check_keyword("Burst.resume", name, (*WATCHED, *burst_settings()))
                raise UnknownArgument(
                    f"{name!r} cannot change when a burst goes on.",
                    expected=f"only {', '.join(checkpoint.MAY_CHANGE)}",
                    found=f"{name}={found_for(value)}",
                    remedy="Leave it out, or begin another burst.",
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
        burst.restore_state(saved)
        return burst

    def copied_state(self) -> checkpoint.SavedBurst:
        """The state between two steps, in memory, for ``restore_state`` of another burst that trains the same tensors.

        Raises:
            WrongPhase: The burst has not begun, is over, or is in the middle of a step on another thread.
        """
        self.reinstate()
        return checkpoint.copied(self._between_steps(), self.batches, self.history)

    def restore_state(self, saved: checkpoint.SavedBurst) -> None:
        """Lets this burst, which has not begun, go on where another stood; the settings and rates are its own."""
        saved.history.strategy = dict(self.history.strategy)
        self._loop.history = saved.history
        self._loop.saved = saved

    set_aside, put_back, go_on_from = FormerName("suspend"), FormerName("reinstate"), FormerName("restore_state")


def _settings(whole: BurstSettings | None, single: Mapping[str, Any]) -> BurstSettings:
    if whole is None:
        return BurstSettings(**single)
    if single:
        raise InvalidOption(
            "The settings are given twice.",
            expected="settings=..., or single ones as keywords",
            found=f"settings beside {', '.join(single)}",
            remedy=f"Write settings=dataclasses.replace(settings, {next(iter(single))}=...).",
        )
    return whole


def _device_of(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _all(batches: Iterable[Any], shifts: bool, stream: RandomStream) -> Iterator[MicroBatch]:
    with nullcontext() if isinstance(batches, list | tuple) else stream.active():
        kept = list(batches)
    reader = MicroBatches(kept, shifts)
    yield from reader.take(reader.size)
