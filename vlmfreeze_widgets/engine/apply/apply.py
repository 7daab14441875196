"""Puts a plan on a model and takes it off again. All checks come first; training is in ``engine.burst.burst``.

Long because the ways off a model (for good, for a while, kept, abandoned) must be read against the way on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import nn

from ...core.arguments import NAME, checked
from ...core.construction_lock import MAKING_LAYERS
from ...core.errors import InvalidStrategy
from ...core.former_names import FormerName
from ...core.strategy.accepted import STRATEGY_OR_PLAN
from ...core.strategy.plan import Plan
from ...core.strategy.resolve import resolve
from ...core.strategy.strategy import Strategy
from ..accepted import MODEL
from ..model.ownership import check_free, claim, release
from ..model.read import check_initialized, read_tree
from ..model.wrappers import unwrap
from .activation_checkpointing import close_frozen_inputs
from .fast_paths import close_fast_paths
from .modes import keep_from_repacking, train_what_trains
from .snapshot import Each, StructureSnapshot, ValueSnapshot
from .trainable import Trainable, check_trainable


@checked(model=MODEL, plan_or_strategy=STRATEGY_OR_PLAN, owner=NAME)
def apply(
    model: nn.Module, plan_or_strategy: Plan | Strategy | Mapping[str, object], *, owner: str = "an applied strategy"
) -> AppliedModel:
    """Freezes, unfreezes and adapts a model as the plan says.

    Args:
        model: A real model; it is changed in place until ``revert``. Of a compiled or replicated model, the one inside.
        plan_or_strategy: A plan, or a strategy to resolve on this model.
        owner: What an error says to the next who wants the model.

    Returns:
        The applied model, also a context manager that reverts.

    Raises:
        PlanRefused: Nothing trains, LoRA has no target, a tie is torn.
        ModelNotTrainable: Weights on meta or offloaded, adapters present, packed weights asked to train in full.
        ModelBusy: Something is applied to the model already.
        UnknownTarget: The strategy names what the model does not have.
        BadSource: Lazy modules have no shapes yet.
    """
    model = unwrap(model)
    check_free(model)
    check_initialized(model)
    plan = plan_for(model, plan_or_strategy)
    plan.check()
    check_trainable(model, plan)
    ticket = object()
    try:
        claim(model, owner, ticket)
        return AppliedModel(model, plan)
    except BaseException:
        # Whatever went wrong, at whichever line: ``AppliedModel`` gave the model back, and the next burst may have it.
        release(model, ticket)
        raise


def plan_for(model: nn.Module, wanted: Plan | Strategy | Mapping[str, object]) -> Plan:
    """The plan of a strategy on this model; a plan is checked to be of this model.

    Raises:
        InvalidStrategy: The plan was resolved on another tree.
    """
    if not isinstance(wanted, Plan):
        STRATEGY_OR_PLAN.check("vf.apply", "strategy", wanted)
        return resolve(Strategy(wanted) if not isinstance(wanted, Strategy) else wanted, read_tree(model))
    here = {name for name, _ in model.named_parameters()}
    # A packed weight that a layer keeps as buffers (GPTQ) is counted as a parameter and is none of torch's.
    there = {p.name for p in wanted.tree.parameters if not p.is_alias and not p.is_packed}
    if not there <= here or len(here) > len([p for p in wanted.tree.parameters if not p.is_alias]):
        raise InvalidStrategy(
            "This plan belongs to another model.",
            expected=f"a plan for {len(here)} parameter tensors",
            found=f"one for {len(there)}, resolved on {wanted.tree.title}",
            remedy="Resolve the strategy on read_tree(model).",
        )
    return wanted


@contextmanager
def _float32_by_default() -> Iterator[None]:
    """New layers have torch's default dtype, which another cell may have set; the start values would be others too.

    The default belongs to all threads, so it is touched only where it is not float32, and only while layers are made.
    """
    with MAKING_LAYERS:
        found = torch.get_default_dtype()
        try:
            if found != torch.float32:
                torch.set_default_dtype(torch.float32)
            yield
        finally:
            if found != torch.float32:
                torch.set_default_dtype(found)


class AppliedModel:
    """A model with a plan on it. ``revert`` restores exactly what was found.

    Attributes:
        model: The model.
        plan: What is applied.
        trainables: The tensors to optimize, in the order of the plan's groups.
    """

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self.model = model
        self.plan = plan
        self._structure: StructureSnapshot | None = StructureSnapshot(model)
        self._aside: StructureSnapshot | None = None
        parameters = dict(model.named_parameters())
        full = {name: parameters[name] for name in plan.trainable}
        self._values = ValueSnapshot(full.values())
        self._full = full
        self._adapters: dict[str, nn.Parameter] = {}
        try:
            if plan.lora_targets:
                with _float32_by_default():
                    from ...adapters import peft_lora

                    self._adapters = peft_lora.inject(model, plan.lora_targets)
                close_fast_paths(model, plan.lora_targets)
            self._set_flags()
            self.trainables = self._list_trainables()
        except BaseException:
            # Everything that changes the model stands above: an error in any line of it restores the model as found.
            self._structure.restore()
            raise

    def _set_flags(self) -> None:
        wanted = {id(p) for p in (*self._full.values(), *self._adapters.values())}
        for parameter in self.model.parameters():
            parameter.requires_grad_(id(parameter) in wanted)
            # A stale gradient moves a frozen weight at the next step (measured: 0.118).
            parameter.grad = None
        close_frozen_inputs(self.model)
        self.set_training_mode()

    def set_training_mode(self) -> None:
        """Training mode where something trains, rest elsewhere; see ``engine.apply.modes``."""
        train_what_trains(self.model)

    def set_found_modes(self) -> None:
        """The modes in which the model was found, for adapters too: what was in evaluation mode does not drop out."""
        if self._structure is not None:
            self._structure.restore_modes()
            keep_from_repacking(self.model)

    def _list_trainables(self) -> tuple[Trainable, ...]:
        tree = self.plan.tree
        found: list[Trainable] = []
        for group in self.plan.optimizer_groups:
            for name in group.params:
                if name in self._full:
                    module = name.rpartition(".")[0] if name not in tree.by_path else name
                    found.append(Trainable(name, module, group.component, self._full[name], False))
                else:
                    module = name.rpartition(".")[0]
                    found.append(Trainable(name, module, group.component, self._adapters[name], True))
        listed = {t.name for t in found}
        for name, parameter in self._adapters.items():
            if name not in listed:  # DoRA's magnitude vectors
                module = name.rpartition(".")[0]
                found.append(Trainable(name, module, tree.component_of(module), parameter, True))
        return tuple(found)

    @property
    def optimizer_groups(self) -> list[dict[str, Any]]:
        """Groups for a torch optimizer: params (tensors), lr, weight_decay, component, and whether LoRA+ speeds it up."""
        tensors = {t.name: t.parameter for t in self.trainables}
        groups: list[dict[str, Any]] = []
        held: dict[str, dict[str, Any]] = {}
        for group in self.plan.optimizer_groups:
            groups.append(
                {
                    "params": [tensors.pop(name) for name in group.params],
                    "lr": group.lr,
                    "weight_decay": group.weight_decay,
                    "component": group.component,
                    "is_faster": group.is_faster,
                }
            )
            held |= dict.fromkeys(group.params, groups[-1])
        for trainable in self.trainables:
            if trainable.name in tensors:
                # DoRA's magnitudes: PEFT's create_loraplus_optimizer takes what is one-dimensional to lora_B.
                side = "lora_B" if trainable.parameter.ndim == 1 else "lora_A"
                held[f"{trainable.module}.{side}"]["params"].append(trainable.parameter)
        return groups

    def start_values(self) -> dict[str, torch.Tensor]:
        """The values, before anything trained, of the parameters that train in full (in host memory)."""
        return dict(zip(self._full, self._values.copies, strict=True))

    @property
    def is_applied(self) -> bool:
        """Whether the plan is still on the model."""
        return self._structure is not None

    def revert(self) -> dict[str, torch.Tensor]:
        """Restores the model exactly as found: weights, buffers, flags, gradients, modes, hooks, attributes, names.

        Returns:
            What had been trained, in host memory: the tensors of ``trainables`` by name. Empty when reverted before.
        """
        if self._structure is None:
            return {}
        adapters = {name: p.detach().to("cpu", copy=True) for name, p in self._adapters.items()}
        structure, aside = self._structure, self._aside
        self._structure = self._aside = None
        if aside is None:
            try:
                with Each() as each:
                    for part in (structure.restore_storages, self._values.swap, structure.restore):
                        each.do(part)
            finally:
                release(self.model)
        return {**dict(zip(self._full, self._values.copies, strict=True)), **adapters}

    def suspend(self) -> None:
        """Restores the model for a while, as found; what trained is kept here, in host memory. Nothing is rounded or merged."""
        if self._structure is None or self._aside is not None:
            return
        self._aside = StructureSnapshot(self.model)
        self._values.swap()
        self._structure.restore()
        release(self.model)

    def reinstate(self, owner: str) -> None:
        """Undoes ``suspend``, bit for bit.

        Args:
            owner: As of ``apply``.

        Raises:
            ModelBusy: Another owner has the model now.
        """
        if self._aside is None:
            return
        claim(self.model, owner)
        aside, self._aside = self._aside, None
        aside.restore()
        self._values.swap()

    @property
    def is_suspended(self) -> bool:
        """Whether the model was restored for a while."""
        return self._aside is not None

    def abandon(self) -> None:
        """Restores what needs no device: modules, flags, modes, hooks, attributes. Values of a lost device stay as they are."""
        if self._structure is None:
            return
        structure, self._structure = self._structure, None
        if self._aside is None:
            structure.restore(buffers=False)
            release(self.model)

    def settle(self, keep_adapters: bool) -> None:
        """Ends the ownership with the values left on the model. Flags, modes, hooks and attributes are as found.

        Adapters that stay are in the mode of the layers that they adapt, and train.

        Args:
            keep_adapters: Leave the adapters in the model (PEFT's layers, trainable); else the structure is as found.
        """
        if self._structure is None:
            return
        structure, self._structure = self._structure, None
        if keep_adapters and self._adapters:
            structure.restore_flags()
        else:
            structure.restore(buffers=False)
        release(self.model)

    set_aside, put_back = FormerName("suspend"), FormerName("reinstate")

    def __enter__(self) -> AppliedModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.revert()
