"""The ``Reduction`` of a launched run: what the engine's step and evidence add up over several processes, and how."""

from __future__ import annotations

import torch

from ..adapters.accelerate_processes import Processes, own_part
from ..engine.tensors.reduction import ONE_PROCESS, Reduction


def over(processes: Processes) -> Reduction:
    """Sums over these processes; the identity where there is one."""
    if processes.count == 1:
        return ONE_PROCESS

    def total(values: torch.Tensor) -> torch.Tensor:
        # Where the processes exchange tensors: NCCL takes none from host memory.
        return processes.sum(values.to(processes.device)).to(values.device)

    return Reduction(processes.count, processes.rank, processes.sharded, total, own_part, processes.without_sync)
