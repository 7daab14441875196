"""The model's own loss on one micro-batch. What is done with it is in ``engine.step.training_step`` and
``engine.probe.inspect_setup``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...core.errors import BadBatch
from ...core.shorten import shorten
from ..batches.micro_batch import MicroBatch
from ..failures.hook_errors import hook_behind


def model_loss(model: nn.Module, batch: MicroBatch, device: torch.device) -> torch.Tensor:
    """The model's own loss on one micro-batch: the mean over its label tokens.

    Raises:
        BadBatch: The model raises, or returns no loss.
        Exception: Whatever a hook of the user's own raises, as it is.
    """
    try:
        output = model(**batch.to(device))
    except (TypeError, ValueError, KeyError, IndexError, StopIteration) as error:
        if (path := hook_behind(error, model)) is not None:
            error.add_note(f"Raised by a forward hook on {path!r} that is not ours.")
            if isinstance(error, StopIteration):  # a generator would end by it, and say nothing
                raise RuntimeError(f"A forward hook on {path!r} raised StopIteration.") from error
            raise
        raise BadBatch(
            f"The model cannot compute micro-batch {batch.index}.",
            expected="the model's keyword arguments, as its processor makes them",
            found=f"{type(error).__name__}: {shorten(error, 300)}",
            remedy=f"The batch has {', '.join(_described(batch.tensors))}. Make it with the model's own processor.",
        ) from error
    loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if loss is None and isinstance(output, tuple | list) and output:
        loss = output[0]
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        raise BadBatch(
            "The model returned no loss.",
            expected="an output with a scalar .loss when labels are given",
            found=type(output).__name__,
            remedy="Wrap the model so that forward(**batch) returns its loss.",
        )
    return loss if loss.dim() == 0 else loss.reshape(())


def _described(tensors: Mapping[str, Any]) -> list[str]:
    return [f"{k} {tuple(v.shape) if isinstance(v, torch.Tensor) else type(v).__name__}" for k, v in tensors.items()]
