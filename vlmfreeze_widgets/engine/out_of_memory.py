"""Out of memory: recognised, told in three parts, and everything that the failed step held let go.

A traceback keeps the locals of every frame, and with them all activations of the failed step; IPython keeps the last traceback.
So the original error never leaves the burst: the one that is raised was made after its frames were cleared, and has none of them.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator

import torch

from ..core.errors import OutOfMemory

# The CPU allocator and some CUDA libraries raise plain RuntimeErrors.
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "cublas_status_alloc_failed",
    "failed to allocate",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, says that memory ran out on any device."""
    return any(
        isinstance(e, torch.OutOfMemoryError | MemoryError)
        or (isinstance(e, RuntimeError) and any(word in str(e).lower() for word in _WORDS))
        for e in _chain(error)
    )


def let_go(error: BaseException, device: torch.device | None = None) -> None:
    """Frees what the frames of an error hold, and gives cached device memory back to the driver.

    Args:
        error: Caught; its text stays, its frames lose their locals.
        device: Of the model.
    """
    for e in _chain(error):
        traceback.clear_frames(e.__traceback__)
        e.__traceback__ = None
    gc.collect()
    if device is not None and device.type == "cuda":
        torch.cuda.empty_cache()
    elif device is not None and device.type == "mps":
        torch.mps.empty_cache()


def told(error: BaseException, rows: int, device: torch.device) -> OutOfMemory:
    """The error that the person sees; it refers to no frame and no tensor.

    Args:
        error: The original.
        rows: Of one micro-batch; 0 when none was read.
        device: Where memory ran out.
    """
    first = str(next((e for e in _chain(error) if str(e)), error)).strip().splitlines() or [type(error).__name__]
    room = ""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        room = f"; {free / 2**30:.1f} of {total / 2**30:.1f} GiB are free again"
    half = rows // 2
    return OutOfMemory(
        f"There is not enough memory on {device.type} for this step. The model is as before the burst.",
        expected=f"room for a step with {rows} rows per micro-batch" if rows else "room for a step",
        found=f"{first[0][:240]}{room}",
        remedy=(
            f"Use micro-batches of {half} rows with accumulation twice as high, or vf.find_batch_size(model, strategy, batch)."
            if half
            else "Use checkpointing=True, shorter or smaller inputs, LoRA instead of full training, or optimizer='adamw8bit'."
        ),
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        e = waiting.pop()
        if e is not None and id(e) not in seen:
            seen.add(id(e))
            yield e
            waiting += [e.__cause__, e.__context__]
