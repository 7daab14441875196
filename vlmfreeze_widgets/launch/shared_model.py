"""The model of a launched run with its plan on, on this process, and everything that its steps need. ``launch.run`` loops."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..adapters.accelerate_processes import Processes, gathered
from ..adapters.transformers_weights import load
from ..core.errors import InvalidStrategy
from ..core.evidence.freeze_proof import Proof
from ..core.evidence.verdict import Verdict
from ..core.history.norms import NormLayout
from ..engine.apply.apply import plan_for
from ..engine.apply.master_weights import computed_precision
from ..engine.apply.trainable import check_trainable
from ..engine.batches.micro_batch import MicroBatch
from ..engine.burst.result import BurstResult
from ..engine.burst.training_run import TrainingRun
from ..engine.model.dead_ends import dead_parameters
from ..engine.model.experts import find_experts
from ..engine.settings import BurstSettings
from ..engine.step.training_step import StepResult
from .recipe import Recipe
from .reduction import over


class SharedModel:
    """Loads the weights, puts the plan on and hands the model to all processes.

    Args:
        recipe: What trains, and how.
        processes: This one and the others.
        same_inputs: Whether the model takes the same way through every micro-batch.

    Attributes:
        plan: The strategy on this model.
        training: What is alive while it trains: the same as in a burst, over all processes.
        shifts: Whether the loss shifts the labels.

    Raises:
        VlmFreezeError: As ``Burst`` does; and where shards cannot do what the recipe asks.
    """

    def __init__(self, recipe: Recipe, processes: Processes, same_inputs: bool) -> None:
        settings = recipe.settings
        self._recipe, self._processes, self._same_inputs = recipe, processes, same_inputs
        self._proof: Proof | None = None
        self._before: dict[str, str] = {}
        if processes.sharded:
            check_shardable(recipe, same_inputs)
        device = torch.device("cpu") if processes.sharded else processes.device
        self._model = load(recipe.model, recipe.dtype, device=str(device))
        self.shifts = not getattr(self._model.config, "is_encoder_decoder", False)
        self.plan = plan_for(self._model, recipe.strategy)
        self.plan.check()
        check_trainable(self._model, self.plan)
        precision = computed_precision(self._model, settings.precision, self.plan.trainable)
        if processes.sharded and precision == "fp16":
            raise _not_in_shards("fp16", "bf16-mixed, or float32")
        self.training = TrainingRun(
            self._model, self.plan, settings, precision, processes.device, over(processes), self._wrapped
        )

    def _wrapped(self, model: nn.Module) -> nn.Module:
        find_unused = not self._same_inputs or self._some_are_unreached()
        if self._processes.count > 1 and not self._processes.sharded:
            check_copyable(self._recipe.settings, find_unused)
        return self._processes.wrap(model, find_unused)

    def _some_are_unreached(self) -> bool:
        """Whether something that trains may get no gradient: layers behind the one that is read, experts without a token."""
        dead = dead_parameters(self._model, self.plan.tree)
        adapted = any(f"{path}.weight" in dead or path in dead for path in self.plan.lora_targets)
        return bool(dead & self.plan.trainable) or adapted or bool(find_experts(self._model))

    @property
    def layout(self) -> NormLayout:
        """Of the norms."""
        return self.training.layout

    @property
    def rates(self) -> dict[str, float]:
        """Component -> learning rate of the next step."""
        return self.training.rates

    def step(self, batches: Sequence[MicroBatch], number: int, is_last: bool) -> StepResult:
        """Takes one step with the other processes; see ``TrainingStep.take``."""
        # None breaks off in the middle of a step: the others would wait for it.
        shown = self.training.step(batches, lambda: False, number, is_last=is_last)
        assert shown is not None
        return shown

    def verdicts(self, lr: dict[str, float]) -> tuple[Verdict, ...]:
        """Judges every component at the end; all processes call it, before ``trained``."""
        found = self.training.verdicts(lr, is_over=True)
        if self._processes.is_main and not self._processes.sharded:
            # Digests of shards could be compared with nothing that anybody else has.
            self._proof, self._before = self.training.witness.proof, self.training.witness.all_digests()
        return found

    def trained(self) -> dict[str, torch.Tensor]:
        """What has trained, by the names of the plan, on the main process; all processes call it, once, at the end.

        Shards are gathered. Where each process has the model whole, it is restored as it was loaded.
        """
        # Before it is restored: DDP puts the parameters into storages of its own, and those that come back are as loaded.
        values = gathered([t.parameter for t in self.training.applied.trainables], self._processes.is_main)
        self.training.end()
        return dict(zip(self.layout.names, values, strict=False))

    def result(self, trained: dict[str, torch.Tensor], **about: object) -> BurstResult:
        """The result as a burst leaves it, on the main process.

        Args:
            trained: As ``trained`` gave it.
            about: history, verdicts, stopped_early, problem.
        """
        # The files that PEFT reads want whole modules, also what did not train in them; the shards are spread by now.
        base = load(self._recipe.model, self._recipe.dtype, device="cpu") if self._processes.sharded else self._model
        return BurstResult(
            model=base, plan=self.plan, trained=trained, proof=self._proof, before=self._before,
            loss_positions=self.training.positions.found, **about  # type: ignore[arg-type]
        )  # fmt: skip


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
