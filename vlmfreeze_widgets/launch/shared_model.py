"""The model of a launched run with its plan on, on this process, and everything that its steps need. ``launch.run`` loops."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import torch

from ..adapters.accelerate_processes import Processes, gathered
from ..adapters.transformers_weights import load
from ..core.errors import InvalidStrategy
from ..core.evidence.verdict import Verdict
from ..core.history.norms import NormLayout
from ..engine.apply.activation_checkpointing import enable_checkpointing
from ..engine.apply.apply import apply, plan_for
from ..engine.apply.dropout_rng import draws_random_numbers
from ..engine.apply.master_weights import Masters, computed_precision
from ..engine.apply.trainable import check_trainable
from ..engine.batches.micro_batch import MicroBatch
from ..engine.burst.result import BurstResult
from ..engine.model.dead_ends import dead_parameters
from ..engine.model.experts import find_experts
from ..engine.settings import BurstSettings
from ..engine.step.optimizer import autocast, make_optimizer, make_scaler, make_schedule, rates_of
from ..engine.tensors.precision import UpdateMeter
from ..engine.tensors.random_streams import RandomStream
from .recipe import Recipe
from .shared_evidence import SharedWitness
from .shared_step import SharedStep, SharedStepResult

_ANOTHER_STREAM = 7919  # a prime, so that the streams of neighbouring seeds and ranks do not meet


class SharedModel:
    """Loads the weights, puts the plan on and hands the model to all processes.

    Args:
        recipe: What trains, and how.
        processes: This one and the others.
        same_inputs: Whether the model takes the same way through every micro-batch.

    Attributes:
        plan: The strategy on this model.
        layout: Of the norms.

    Raises:
        VlmFreezeError: As ``Burst`` does; and where shards cannot do what the recipe asks.
    """

    def __init__(self, recipe: Recipe, processes: Processes, same_inputs: bool) -> None:
        settings = recipe.settings
        self._recipe, self._processes = recipe, processes
        if processes.sharded:
            check_shardable(recipe, same_inputs)
        device = torch.device("cpu") if processes.sharded else processes.device
        self._model = load(recipe.model, recipe.dtype, device=str(device))
        self.plan = plan_for(self._model, recipe.strategy)
        self.plan.check()
        check_trainable(self._model, self.plan)
        precision = computed_precision(self._model, settings.precision, self.plan.trainable)
        if processes.sharded and precision == "fp16":
            raise _not_in_shards("fp16", "bf16-mixed, or float32")
        stream = RandomStream(settings.seed, processes.device)
        with stream.active():
            self._applied = applied = apply(self._model, self.plan, owner="a launched run")
        # The adapters start the same everywhere; dropout must not.
        rank = processes.rank
        self._stream = stream if rank == 0 else RandomStream(settings.seed + _ANOTHER_STREAM * rank, processes.device)
        self._in_stream = self._stream.active if draws_random_numbers(self._model) else nullcontext
        if settings.checkpointing:
            enable_checkpointing(self._model, settings.checkpointing)
            applied.set_training_mode()
        pure = precision == "bf16-pure"
        if pure:
            for trainable in applied.trainables:
                if trainable.is_adapter:
                    trainable.parameter.data = trainable.parameter.data.bfloat16()
        names = {id(p): name for name, p in self._model.named_parameters()}
        find_unused = not same_inputs or self._some_are_unreached()
        if processes.count > 1 and not processes.sharded:
            check_copyable(settings, find_unused)
        wrapped = processes.wrap(self._model, find_unused)
        now = dict(self._model.named_parameters())
        applied.trainables = tuple(replace(t, parameter=now[names[id(t.parameter)]]) for t in applied.trainables)
        self._masters = Masters([t.parameter for t in applied.trainables], pure)
        self._optimizer = make_optimizer(applied, self._masters, settings)
        self._schedule = make_schedule(self._optimizer, settings)
        self._meter = UpdateMeter(self._masters.tensors) if pure and not processes.sharded else None
        optimized = {id(t) for g in self._optimizer.param_groups for t in g["params"]}
        held = frozenset(id(p) for p in self._masters.parameters if id(self._masters.of(p)) in optimized)
        self._witness = SharedWitness(applied, held, processes)
        self.layout = NormLayout(
            tuple(t.name for t in applied.trainables),
            tuple(t.module for t in applied.trainables),
            tuple(t.component for t in applied.trainables),
        )
        self._step = SharedStep(
            wrapped, self._masters, self._optimizer, processes, settings.max_grad_norm,
            autocast(precision, processes.device), make_scaler(precision, settings, processes.device), self._meter,
        )  # fmt: skip

    def _some_are_unreached(self) -> bool:
        """Whether something that trains may get no gradient: layers behind the one that is read, experts without a token."""
        dead = dead_parameters(self._model, self.plan.tree)
        adapted = any(f"{path}.weight" in dead or path in dead for path in self.plan.lora_targets)
        return bool(dead & self.plan.trainable) or adapted or bool(find_experts(self._model))

    @property
    def rates(self) -> dict[str, float]:
        """Component -> learning rate of the next step."""
        return rates_of(self._optimizer)

    def step(self, batches: Sequence[MicroBatch], number: int, stop: bool) -> SharedStepResult:
        """Takes one step; see ``SharedStep.take``."""
        with self._in_stream(), torch.autocast(self._processes.device.type, enabled=False):
            shown = self._step.take(batches, number, stop)
        if shown.problem is None:
            if self._schedule is not None:
                self._schedule.step()
            self._witness.see_step(shown.norms)
        return shown

    def verdicts(self, lr: dict[str, float]) -> tuple[Verdict, ...]:
        """Judges every component now; all processes call it."""
        moved = dict(zip(self.layout.names, self._meter.counts(), strict=True)) if self._meter is not None else {}
        return self._witness.verdicts(lr, moved)

    def trained(self) -> dict[str, torch.Tensor]:
        """What has trained, by the names of the plan, on the main process; all processes call it."""
        values = gathered([t.parameter for t in self._applied.trainables], self._processes.is_main)
        return dict(zip(self.layout.names, values, strict=False))

    def result(self, trained: dict[str, torch.Tensor], **about: object) -> BurstResult:
        """The result as a burst leaves it, on the main process; this model is given back for it.

        Args:
            trained: As ``trained`` gave it.
            about: history, verdicts, stopped_early, problem.
        """
        if self._processes.sharded:
            # The files that PEFT reads want whole modules, also what did not train in them; the shards are spread by now.
            base = load(self._recipe.model, self._recipe.dtype, device="cpu")
        else:
            self._applied.revert()
            base = self._model
        return BurstResult(model=base, plan=self.plan, trained=trained, **about)  # type: ignore[arg-type]


def check_shardable(recipe: Recipe, same_inputs: bool) -> None:
    """Refuses what shards cannot do before anything is loaded.

    Raises:
        InvalidStrategy: Inputs that differ between micro-batches, 4-bit weights, or an optimizer that needs whole tensors.
    """
    if not same_inputs:
        # Shards of a layer are gathered by all processes at once: one that passes by the tower would wait for ever.
        raise InvalidStrategy(
            "FSDP needs the same way through the model in every process.",
            expected="micro-batches that all have the same inputs",
            found="some with pictures and some without, or other names that differ",
            remedy="Put a picture into each micro-batch, or launch without --fsdp.",
        )
    if recipe.dtype == "4bit":
        raise _not_in_shards("4-bit weights", "another dtype")
    if recipe.settings.optimizer not in ("adamw", "sgd"):
        raise _not_in_shards(f"the optimizer {recipe.settings.optimizer}", "adamw or sgd")


def check_copyable(settings: BurstSettings, find_unused: bool) -> None:
    """Refuses what DDP cannot do.

    Raises:
        InvalidStrategy: The reentrant recomputation where some parameter may get no gradient.
    """
    if settings.checkpointing == "reentrant" and find_unused:
        # DDP looks for unused parameters in the first graph, and the reentrant form makes the true one in the backward pass.
        raise InvalidStrategy(
            "Copies in several processes cannot recompute in the reentrant form here.",
            expected="checkpointing='non-reentrant', where something that trains may get no gradient in a step",
            found="'reentrant', with layers behind the one that is read, experts, or micro-batches without pictures",
            remedy="Use checkpointing='non-reentrant'.",
        )


def _not_in_shards(what: str, instead: str) -> InvalidStrategy:
    return InvalidStrategy(
        f"A sharded run cannot use {what}.",
        expected=f"{instead}, with FSDP",
        found=what,
        remedy=f"Take {instead}, or launch without --fsdp.",
    )
