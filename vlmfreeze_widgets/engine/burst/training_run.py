"""What is alive while a burst or a launched run trains: the plan on the model, optimizer, schedule, random stream, witness.
``engine.burst.loop`` and ``launch.run`` loop.

Taking and restoring the model is never cut in two by Ctrl-C.

Long because what is put on a model and how it is taken off again must be read side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from ...core.evidence.verdict import Verdict
from ...core.history.norms import NormLayout
from ...core.strategy.plan import Plan
from ..apply.activation_checkpointing import enable_checkpointing
from ..apply.apply import AppliedModel, apply
from ..apply.dropout_rng import draws_random_numbers, lead
from ..apply.master_weights import MasterWeights
from ..apply.modes import rest_all
from ..batches.micro_batch import MicroBatch
from ..evidence.adapter_calls import AdapterCalls, sentence_on
from ..evidence.evaluation import EvalInputs, EvalResult, Evaluator
from ..evidence.interference import InterferenceMonitor
from ..evidence.witness import Witness
from ..failures.lost_device import is_lost
from ..settings import BurstSettings
from ..step.feature_cache import FeatureCache, cacheable
from ..step.interrupt_shield import InterruptShield
from ..step.label_positions import LabelPositions
from ..step.optimizer import autocast, make_optimizer, make_scaler, make_schedule, rates_of
from ..step.training_step import StepResult, TrainingStep
from ..tensors.precision import UpdateMeter
from ..tensors.random_streams import RandomStream
from ..tensors.reduction import ONE_PROCESS, Reduction
from ..tensors.update_ratio import UpdateRatio

_OWNER = "a running burst"
_ANOTHER_STREAM = 7919  # a prime, so that the streams of neighbouring seeds and ranks do not meet


class TrainingRun:
    """Puts the plan on the model and makes everything that steps need; ``end`` takes it off.

    Args:
        model: Free.
        plan: For this model.
        settings: Of the burst.
        precision: What ``master_weights.computed_precision`` made of the settings.
        device: Where the batches go.
        together: The processes that train the model together.
        distribute: Makes of the model, with the plan on it, what these processes train. May replace its parameters.

    Attributes:
        taken: Steps so far that moved the weights.
        hand: Does what Ctrl-C may not cut in two.
        notes: Remarks on the evaluations.
        trained: What had been trained when the run ended, in host memory, by the names of the plan; the start values when no
            step was taken.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        settings: BurstSettings,
        precision: str,
        device: torch.device,
        together: Reduction = ONE_PROCESS,
        distribute: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.device = device
        self._together, self._distribute = together, distribute
        self.taken = 0
        self.stream = RandomStream(settings.seed, device)
        self._model, self._plan = model, plan
        self.shield = InterruptShield(device)
        self._applied: AppliedModel | None = None
        self._evaluator: Evaluator | None = None
        self._calls: AdapterCalls | None = None
        self.notes: list[str] = []
        self._features: FeatureCache | None = None
        self.trained: dict[str, torch.Tensor] = {}
        try:
            interrupt = self.shield.do(self._apply)
            if interrupt is not None:
                raise interrupt
            self._prepare(settings, precision)
        except BaseException:
            self.end()
            raise

    def _apply(self) -> None:
        # LoRA's A is drawn from the burst's stream too (B is zero): the seed fixes it, and nobody else's numbers move.
        with self.stream.led():
            self._applied = apply(self._model, self._plan, owner=_OWNER)

    def _prepare(self, settings: BurstSettings, precision: str) -> None:
        applied, together = self.applied, self._together
        if together.rank:
            # The adapters start the same everywhere; dropout must not.
            self.stream = RandomStream(settings.seed + _ANOTHER_STREAM * together.rank, self.device)
        # Recomputed layers rewind torch's default generators, and only those.
        draws = draws_random_numbers(self._model)
        if draws and not settings.checkpointing and lead(self._model, own := self.stream.generator()):
            self.stream.follow(own)
            draws = False
        self._in_stream = self.stream.active if draws else nullcontext
        if settings.checkpointing:
            enable_checkpointing(self._model, settings.checkpointing)
            applied.set_training_mode()
        # A shard is gathered by all processes at once: one that looks its features up would keep the others waiting.
        if settings.cache_features and not together.is_sharded:
            self._features = FeatureCache(self._model, cacheable(self._plan, self._model))
        pure = precision == "bf16-pure"
        if pure:
            for trainable in applied.trainables:
                if trainable.is_adapter:
                    trainable.parameter.data = trainable.parameter.data.bfloat16()
        wrapped = self._model if self._distribute is None else self._distributed(self._distribute)
        # A cast or a move in mid-burst gives parameters other storages; what had trained until then lies in these.
        self._storages = [(t.parameter, t.parameter.data) for t in applied.trainables]
        self.masters = MasterWeights([t.parameter for t in applied.trainables], pure, together)
        self.optimizer = make_optimizer(applied, self.masters, settings)
        self.schedule = make_schedule(self.optimizer, settings)
        self.scaler = make_scaler(precision, settings, self.device)
        self.meter = UpdateMeter(self.masters.tensors) if pure and not together.is_sharded else None
        optimized = {id(t) for g in self.optimizer.param_groups for t in g["params"]}
        held = frozenset(id(p) for p in self.masters.parameters if id(self.masters.of(p)) in optimized)
        self.witness = Witness(applied, held, settings.proof, together)
        # Shards have no address of their own to compare, and no other code has them between two steps.
        if not together.is_sharded:
            self.interference = InterferenceMonitor(self._model, self.masters.parameters)
        self.layout = NormLayout(
            tuple(t.name for t in applied.trainables),
            tuple(t.module for t in applied.trainables),
            tuple(t.component for t in applied.trainables),
        )
        self.positions = LabelPositions(
            self._model,
            settings.loss_positions,
            partial(together.all_agree, device=self.device) if together.count > 1 else None,
        )
        self._step = TrainingStep(
            wrapped, self.masters, self.optimizer, settings.max_grad_norm, autocast(precision, self.device),
            self.device, self.scaler, self.meter, self.shield, together, self.positions,
        )  # fmt: skip

    def _settle(self, batches: Sequence[MicroBatch]) -> None:
        """Finds out, once, where the loss is computed: at rest, so that nothing random is drawn and no statistic moves."""
        first = next((b for b in batches[self._together.rank :: self._together.count] if b.label_tokens), None)
        if self.positions.found is not None or first is None:
            return
        with self._at_rest(), torch.no_grad():
            self.positions.settle(first, self._step.loss_of)

    def _distributed(self, distribute: Callable[[nn.Module], nn.Module]) -> nn.Module:
        """The model as all processes train it; what trains are its parameters then."""
        names = {id(p): name for name, p in self._model.named_parameters()}
        wrapped = distribute(self._model)
        now = dict(self._model.named_parameters())
        trainables = (replace(t, parameter=now[names[id(t.parameter)]]) for t in self.applied.trainables)
        self.applied.trainables = tuple(trainables)
        return wrapped

    @property
    def applied(self) -> AppliedModel:
        """The model with its plan on."""
        assert self._applied is not None
        return self._applied

    @property
    def half_taken(self) -> bool:
        """Whether an error came while the weights were moving."""
        return self._step.moving

    @property
    def rates(self) -> dict[str, float]:
        """Component -> learning rate of the next step."""
        return rates_of(self.optimizer)

    def step(
        self,
        batches: Sequence[MicroBatch],
        stopped: Callable[[], bool],
        number: int,
        measure: bool = False,
        is_last: bool = False,
    ) -> StepResult | None:
        """Takes one step; see ``TrainingStep.take``. ``measure``: also how far it moves each tensor."""
        self._settle(batches)
        self._step.ratio = UpdateRatio(self.masters.tensors) if measure else None
        # Autocast is off around the step, not only the forward: backward would follow a cell's autocast too.
        # Only the first step is compared with an evaluation of the same batches: one forward pass more.
        counted = self._calls.training(batches) if self._calls is not None and not self.taken else nullcontext()
        with self._on_device(), self._in_stream(), torch.autocast(self.device.type, enabled=False), counted:
            shown = self._step.take(batches, stopped, number, is_last)
        if shown is not None and shown.problem is None:
            self.taken += 1
            if self.schedule is not None:
                self.schedule.step()
            self.witness.see_step(shown.norms)
        return shown

    def begin_evaluation(self, eval_inputs: EvalInputs, shifts: bool) -> EvalResult:
        """Evaluates the start, before anything has trained."""
        # Before the first one, so that all of them take the same way.
        self._settle((*eval_inputs.eval_batches, *eval_inputs.retention_batches))
        with self._at_rest():
            at = self.positions.at
            self._evaluator = Evaluator(eval_inputs, self._model, self.device, self._step.loss_of, shifts, at)
            self._calls = AdapterCalls(self._model, self.applied.trainables)
            return self._evaluator.evaluate()

    def evaluate(self) -> EvalResult:
        """Evaluates again what was given to ``begin_evaluation``; the first time a layer that it leaves out becomes a note."""
        assert self._evaluator is not None
        with self._at_rest():
            missed = [] if self._calls is None else self._calls.missed(self._step.loss_of)
            self.notes += [sentence_on(missed)] if missed else []
            return self._evaluator.evaluate()

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        rest_all(self._model)
        try:
            with self._on_device(), torch.autocast(self.device.type, enabled=False):
                yield
        finally:
            self.applied.set_training_mode()

    def _on_device(self) -> AbstractContextManager[object]:
        # The current CUDA device is each thread's own; a worker thread finds device 0, whatever the user's cell had set.
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()

    def verdicts(self, lr: Mapping[str, float], *, is_over: bool = False) -> tuple[Verdict, ...]:
        """Judges every component now; all processes call it.

        Args:
            lr: Component -> rate of the last step.
            is_over: Whether no further step follows.
        """
        updates = dict(zip(self.layout.names, self.meter.counts(), strict=True)) if self.meter is not None else {}
        return self.witness.verdicts(lr, updates, is_over=is_over)

    def suspend(self) -> None:
        """Between two steps: restores the model for a while. The optimizer's state stays where it is."""
        self.interference.check_once()
        if not self.interference.is_broken:
            self._whole(self.applied.suspend)

    @property
    def is_suspended(self) -> bool:
        """Whether ``suspend`` was called, and ``reinstate`` not yet."""
        return self._applied is not None and self._applied.is_suspended

    def reinstate(self) -> None:
        """Undoes ``suspend``; changes of the model in between do not count as interference with this run."""

        def back() -> None:
            self.applied.reinstate(_OWNER)
            self.interference.leave_again()

        self._whole(back)

    def _whole(self, action: Callable[[], None]) -> None:
        with self._on_device():
            interrupt = self.shield.do(action)
        if interrupt is not None:
            raise interrupt

    def end(self) -> None:
        """Gives the model back as it was found; ``trained`` is there then.

        Of a lost device no value can be read or written: then the model has its structure back, and ``trained`` is empty.
        """
        try:
            interrupt = self.shield.do(self._revert)
        except RuntimeError as error:
            if not is_lost(error) or self._applied is None:
                raise
            self._applied.abandon()
            interrupt = None
        finally:
            self.shield.close()
        if interrupt is not None:
            raise interrupt

    def _revert(self) -> None:
        if self._features is not None:
            self._features.close()
        if self._applied is None or not self._applied.is_applied or self._together.is_sharded:
            return  # shards cannot be restored: the whole parameters that they were made of are no longer in the model
        for parameter, data in getattr(self, "_storages", ()):
            if (parameter.data_ptr(), parameter.dtype) != (data.data_ptr(), data.dtype):
                parameter.data = data
        if self.taken == 0 and hasattr(self, "witness"):
            # An error within the first step may have moved some tensors and not others.
            self.witness.put_start_values()
        self.trained = self._applied.revert()
