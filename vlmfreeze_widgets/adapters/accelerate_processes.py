"""Several processes that train one model, through accelerate: DDP copies or FSDP2 shards, and the sums between them.

What a step computes is ``engine.step.training_step``'s affair.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from ..core.errors import InvalidStrategy, ModelNotTrainable


class Processes:
    """This process and the others.

    Args:
        cpu: Do not use an accelerator.
        sharded: Split weights, gradients and optimizer over the processes (FSDP2); else each has a copy (DDP).

    Attributes:
        count: How many there are.
        rank: Of this one, from 0.
        device: Where this one computes.
        sharded: As asked.

    Raises:
        InvalidStrategy: One process was asked to shard, or ``accelerate launch --cpu`` was asked for several and started one.
    """

    def __init__(self, cpu: bool = False, sharded: bool = False) -> None:
        cpu = cpu or os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1")
        if cpu and "MASTER_ADDR" in os.environ and "RANK" not in os.environ:
            raise InvalidStrategy(
                "accelerate launch --cpu starts a single process, however many are asked for.",
                expected="each process with a rank, as torchrun gives it",
                found="one without",
                remedy="vlmfreeze launch recipe.json --processes 2 --cpu starts them.",
            )
        self._accelerator = _accelerator(cpu, sharded)
        self.count: int = self._accelerator.num_processes
        self.rank: int = self._accelerator.process_index
        self.device: torch.device = self._accelerator.device
        self.sharded = sharded
        if sharded and self.count < 2:
            raise InvalidStrategy(
                "There is nothing to shard over.",
                expected="at least 2 processes for FSDP",
                found="1",
                remedy="Launch with --processes 2 or more, or without --fsdp.",
            )

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def wrap(self, model: nn.Module, find_unused: bool) -> nn.Module:
        """The model as all processes train it.

        Args:
            model: The same on all, on ``device`` unless it is to be sharded; flags and adapters are as they will be. With FSDP2
                its parameters are replaced.
            find_unused: Some trainable parameter may have no gradient in some step. Costs DDP a walk over the graph; FSDP2
                does not mind.
        """
        if self.count == 1:
            return model
        if self.sharded:
            # accelerate insists on an optimizer beside the model, to exchange its parameters; ours is made afterwards, of the
            # shards, since half-precision shards get float32 master weights.
            self._shard_blocks(model)
            trained = [p for p in model.parameters() if p.requires_grad]
            wrapped, _ = self._accelerator.prepare(model, torch.optim.SGD(trained, lr=0.0))
            _check_sharded(wrapped)
        else:
            from accelerate.utils import DistributedDataParallelKwargs

            self._accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=find_unused)
            wrapped = self._accelerator.prepare(model)
        found: nn.Module = wrapped
        return found

    def _shard_blocks(self, model: nn.Module) -> None:
        # transformers' list names classes of the whole family (a CLIP text tower for LLaVA), and accelerate stops at one
        # that this model does not have.
        present = {type(module).__name__ for module in model.modules()}
        blocks = [name for name in getattr(model, "_no_split_modules", None) or () if name in present]
        self._accelerator.state.fsdp_plugin.transformer_cls_names_to_wrap = sorted(blocks)

    def without_sync(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Around all micro-batches of a step but the last. Shards are summed each time: keeping them whole costs memory."""
        if self.count == 1 or self.sharded:
            return nullcontext()
        context: AbstractContextManager[Any] = self._accelerator.no_sync(model)
        return context

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        if self.count > 1:
            torch.distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all are here."""
        self._accelerator.wait_for_everyone()

    def end(self) -> None:
        """No more sums."""
        self._accelerator.end_training()
        if self.count > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _check_sharded(model: nn.Module) -> None:
    from torch.distributed.tensor import DTensor

    whole = [name for name, p in model.named_parameters() if p.requires_grad and not isinstance(p, DTensor)]
    if whole:
        raise ModelNotTrainable(
            "FSDP has not sharded what trains.",
            expected="a shard of each trainable tensor in every process",
            found=f"{len(whole)} whole tensors, such as {whole[0]}",
            remedy="Launch without --fsdp.",
        )


def own_part(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor; all of it, where it is no shard. In-place changes reach the tensor."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Sequence[torch.Tensor], keep: bool) -> list[torch.Tensor]:
    """Whole tensors in host memory, one after another; all processes call it.

    Args:
        tensors: Shards or not.
        keep: Whether this process wants them; else they are freed as they come and the list is empty.
    """
    from torch.distributed.tensor import DTensor

    found = []
    for tensor in tensors:
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if keep:
            found.append(whole.detach().to("cpu", copy=True))
    return found


def _accelerator(cpu: bool, sharded: bool) -> Any:  # accelerate.Accelerator
    from accelerate import Accelerator, FullyShardedDataParallelPlugin, PartialState
    from accelerate.utils import DistributedType

    # Precision, clipping and accumulation are the step's own: a launcher's defaults must not come in between.
    if not sharded:
        return Accelerator(cpu=cpu, mixed_precision="no", gradient_accumulation_steps=1)
    # Every process has read the weights itself, so that adapters and start values are the same by construction.
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2, auto_wrap_policy="transformer_based_wrap", cpu_ram_efficient_loading=False
    )
    made = Accelerator(cpu=cpu, mixed_precision="no", gradient_accumulation_steps=1, fsdp_plugin=plugin)
    if made.distributed_type == DistributedType.MULTI_CPU:
        # accelerate passes the plugin over on CPUs, without a word, and would train copies. torch's fully_shard has no such limit.
        # In both states: each AcceleratorState() that anybody makes copies the other one's type over its own.
        PartialState().distributed_type = made.state.distributed_type = DistributedType.FSDP
        made.state.fsdp_plugin = plugin
    return made
