"""The plan as a value: one verdict for every parameter, optimizer groups, counts, warnings. ``core.strategy.resolve`` makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

from ..errors import PlanRefused
from ..tree.tree import ModuleTree
from .strategy import Strategy
from .text import plan_text
from .tuning import Lora

Severity = Literal["refusal", "warning"]


@dataclass(frozen=True)
class PlanWarning:
    """Something that the user should know before running.

    Attributes:
        code: Stable word, such as "lora-no-target".
        severity: A "refusal" forbids applying the plan; a "warning" does not.
        message: What is the case.
        remedy: What can be done.
        paths: Modules or parameters concerned.
    """

    code: str
    severity: Severity
    message: str
    remedy: str
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity}: {self.message} {self.remedy}"


@dataclass(frozen=True)
class Group:
    """One optimizer group.

    Attributes:
        component: Whose parameters these are.
        lr: Learning rate.
        weight_decay: AdamW weight decay.
        params: Base parameter names, and adapters as "<module>.lora_A" and "<module>.lora_B".
    """

    component: str
    lr: float
    weight_decay: float
    params: tuple[str, ...]

    @property
    def is_faster(self) -> bool:
        """Whether it holds lora_B alone, at a multiple of the rate of lora_A (LoRA+)."""
        return all(name.endswith(".lora_B") for name in self.params)


@dataclass(frozen=True, eq=False)
class Plan:
    """A strategy met with one tree.

    Attributes:
        strategy: What was wanted.
        tree: What it was resolved on.
        trainable: Base-parameter names trained in full (the first name of a shared tensor).
        lora_targets: Module path -> its LoRA; for a stack of experts the parameter's own name.
        optimizer_groups: Groups in the order of the components.
        decided_by: Parameter name -> the rule that decided; absent where no rule reached it (then it is frozen).
        warnings: Refusals first.
        adapter_params: Parameters which the adapters add.
    """

    strategy: Strategy
    tree: ModuleTree
    trainable: frozenset[str]
    lora_targets: Mapping[str, Lora]
    optimizer_groups: tuple[Group, ...]
    decided_by: Mapping[str, str]
    warnings: tuple[PlanWarning, ...]
    adapter_params: int

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The optimizer groups as dictionaries: component, lr, weight_decay, params."""
        return [asdict(group) for group in self.optimizer_groups]

    @property
    def component_rates(self) -> dict[str, float]:
        """Component -> its learning rate, the lowest of several; LoRA+'s lora_B apart, whose rate is a multiple of another."""
        return {group.component: group.lr for group in self.optimizer_groups if not group.is_faster}

    @property
    def total_params(self) -> int:
        """Parameters of the model without adapters."""
        return self.tree.total_params

    @cached_property
    def full_params(self) -> int:
        """Base parameters trained in full."""
        return sum(self.tree.by_name[name].params for name in self.trainable)

    @property
    def trainable_params(self) -> int:
        """Everything the optimizer moves: full parameters and adapters."""
        return self.full_params + self.adapter_params

    @property
    def frozen_params(self) -> int:
        """Base parameters that stay bit-identical."""
        return self.total_params - self.full_params

    @property
    def refusals(self) -> tuple[PlanWarning, ...]:
        """The warnings that forbid applying the plan."""
        return tuple(w for w in self.warnings if w.severity == "refusal")

    def tuning_of(self, name: str) -> str:
        """ "full", "lora" or "frozen" for a parameter name; "lora" is the frozen weight beside an adapter.

        Raises:
            UnknownTarget: No such parameter.
        """
        parameter = self.tree.by_name.get(name)
        if parameter is None:
            raise self.tree.unknown(name)
        if parameter.owner in self.trainable:
            return "full"
        return "lora" if name.rpartition(".")[0] in self.lora_targets or name in self.lora_targets else "frozen"

    def check(self) -> None:
        """Raises the first refusal.

        Raises:
            PlanRefused: The plan cannot be applied.
        """
        for refusal in self.refusals:
            shown = ", ".join(refusal.paths[:4])
            raise PlanRefused(
                refusal.message,
                expected="a plan that can be applied",
                found=f"{refusal.code}{f' ({shown})' if shown else ''}",
                remedy=refusal.remedy,
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "strategy": self.strategy.to_dict(),
            "total_params": self.total_params,
            "trainable_params": self.trainable_params,
            "frozen_params": self.frozen_params,
            "adapter_params": self.adapter_params,
            "trainable": sorted(self.trainable),
            "lora_targets": {path: asdict(lora) for path, lora in self.lora_targets.items()},
            "groups": self.groups,
            "warnings": [asdict(w) for w in self.warnings],
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.tree is other.tree and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # holds mappings

    def __str__(self) -> str:
        return plan_text(self)

    __repr__ = __str__
