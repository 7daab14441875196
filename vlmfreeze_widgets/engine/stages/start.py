"""What stages can be undone to: the model as it was before the first one. The stages run in ``engine.stages.run_stages``."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...core.evidence.freeze_proof import Restored
from ...core.strategy.plan import Plan
from ..apply.snapshot import StructureSnapshot, ValueSnapshot
from ..burst.result import BurstResult
from ..evidence.witness import restored


class StagesStart:
    """The model before the first stage: its structure, and the values of all that some stage moves.

    Args:
        model: Plain, without adapters.
        plans: Of all stages.
    """

    def __init__(self, model: nn.Module, plans: Iterable[Plan]) -> None:
        self.model = model
        moved = set[str]()
        for plan in plans:
            moved |= plan.trainable
            # Adapters are added to the weights that they adapt, so that the next stage finds a plain model.
            for path in plan.lora_targets:
                moved |= {p.owner for p in plan.tree.by_path[path].parameters} | ({path} & plan.tree.by_name.keys())
        parameters = dict(model.named_parameters())
        self._values = ValueSnapshot(parameters[name] for name in sorted(moved) if name in parameters)
        self._structure = StructureSnapshot(model)
        self._before: dict[str, str] = {}
        self._algorithm = ""

    def remember(self, first: BurstResult) -> None:
        """Takes the digests of all tensors from the burst of the first stage, for ``check``."""
        if first.proof is not None and not self._before:
            self._before, self._algorithm = first.digests_before, first.proof.algorithm

    def check(self) -> Restored | None:
        """Reads every tensor of the model now and compares it with what it was; None where no burst has begun."""
        return restored(self.model, self._before, self._algorithm) if self._before else None

    def restore(self) -> None:
        """Gives the model back bit for bit."""
        self._structure.restore_storages()
        self._values.swap()
        self._structure.restore()
