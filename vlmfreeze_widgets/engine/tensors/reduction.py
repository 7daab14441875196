"""How the numbers of one step are added up over the processes that take it together: not at all, where there is one process.

The training step and the evidence are handed a ``Reduction`` and are the same code in a burst and in a launched run. Its form
for several processes is made in ``launch.reduction``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .widest import widest


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _no_context(_model: nn.Module) -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True)
class Reduction:
    """Identity for one process (the default), sums over the processes for several.

    Attributes:
        count: How many processes take a step together. Each takes every ``count``-th micro-batch and multiplies its loss by
            ``count``, since DDP and FSDP2 both average gradients over the processes.
        rank: Of this one, from 0.
        is_sharded: Whether each process holds a part of every tensor; else all hold it whole, with the same gradients.
        sum: Adds up what each process has of its own, element by element; all processes call it. Float64 of any shape.
        own_part: What this process holds of a tensor (its shard, else the tensor); both share memory.
        without_sync: Around all micro-batches of a step but the last: gradients are not exchanged yet.
    """

    count: int = 1
    rank: int = 0
    is_sharded: bool = False
    sum: Callable[[torch.Tensor], torch.Tensor] = _same
    own_part: Callable[[torch.Tensor], torch.Tensor] = _same
    without_sync: Callable[[nn.Module], AbstractContextManager[Any]] = _no_context

    def all_agree(self, yes: bool, device: torch.device) -> bool:
        """Whether every process says yes; each calls it."""
        votes = self.sum(torch.full((1,), float(yes), dtype=widest(device), device=device))
        return float(votes) == self.count

    def sum_of_parts(self, values: torch.Tensor) -> torch.Tensor:
        """Adds up what each process measured on its parts; whole tensors gave the same numbers everywhere already."""
        return self.sum(values) if self.is_sharded else values


ONE_PROCESS = Reduction()
