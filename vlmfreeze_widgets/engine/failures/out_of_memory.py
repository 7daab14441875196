"""Out of memory: recognised, reported in three parts, and everything that the failed step held is freed.

A traceback keeps the locals of every frame, and with them all activations of the failed step; IPython keeps the last traceback.
So the original error never leaves the burst: the one that is raised was made after its frames were cleared, and has none of them.
"""

from __future__ import annotations

import gc
import traceback

import torch

from ...core.errors import OutOfMemory
from .error_chain import chain

# The CPU allocator and some CUDA libraries raise plain RuntimeErrors.
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
    "cublas_status_not_initialized",  # its handle is made at the first matrix product, and needs room
    "cudnn_status_alloc_failed",
    "failed to allocate",
)
SAVERS = (
    "Use smaller micro-batches (vf.find_batch_size measures what fits), checkpointing=True, shorter or smaller inputs, LoRA "
    "instead of full training, or optimizer='adamw8bit'."
)
"""What saves memory, in the order in which it costs least."""
NEED_LESS = (
    "No micro-batch was computed yet: what trains needs less itself. Use LoRA instead of full training, optimizer='adamw8bit', "
    "or a model in bfloat16."
)
"""Where memory ran out while the burst was set up."""
EVALUATE_LESS = (
    "The step itself fits: give eval_batches and retention_batches fewer rows, or questions shorter answers."
)
"""Where memory ran out while the burst looked at what it was asked to watch."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, says that memory ran out on any device."""
    return any(
        isinstance(e, torch.OutOfMemoryError | MemoryError)
        or (isinstance(e, RuntimeError) and any(word in str(e).lower() for word in _WORDS))
        for e in chain(error)
    )


def release_tensors(error: BaseException, device: torch.device | None = None) -> None:
    """Frees what the frames of an error hold, and gives cached device memory back to the driver.

    Args:
        error: Caught; its text stays, its frames lose their locals.
        device: Of the model.
    """
    for e in chain(error):
        traceback.clear_frames(e.__traceback__)
        e.__traceback__ = None
    gc.collect()
    if device is not None and device.type == "cuda":
        torch.cuda.empty_cache()
    elif device is not None and device.type == "mps":
        torch.mps.empty_cache()


def out_of_memory_error(error: BaseException, rows: int, device: torch.device, advice: str = "") -> OutOfMemory:
    """The error that the user sees; it refers to no frame and no tensor. Made after ``release_tensors``: it says what is free.

    Args:
        error: The original.
        rows: Of one micro-batch; 0 when none was read.
        device: Where memory ran out.
        advice: What was found to help; "" to name what usually does.
    """
    first = str(next((e for e in chain(error) if str(e)), error)).strip().splitlines() or [type(error).__name__]
    return OutOfMemory(
        f"There is not enough memory on {device.type} for this step. The model is as before the burst.",
        expected=f"room for a step with {rows} rows per micro-batch" if rows else "room for a step",
        found=f"{first[0][:240].rstrip('.')}{_room(device)}",
        remedy=advice or SAVERS,
    )


def _room(device: torch.device) -> str:
    if device.type != "cuda":
        return ""
    free, total = torch.cuda.mem_get_info(device)
    others = total - free - torch.cuda.memory_reserved(device)
    text = f"; {free / 2**30:.1f} of {total / 2**30:.1f} GiB are free now"
    # A context of our own takes up to 0.7 GB beside what torch reserved.
    return f"{text}, other processes hold about {others / 2**30:.1f}" if others > 2**30 else text
