"""The user's error when a step of a burst fails on its device, and what is done first: what was recorded is written, memory is
freed, a size that does run is searched. What the errors say is in ``engine.failures.lost_device`` and
``engine.failures.out_of_memory``.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import VlmFreezeError
from ...core.memory_advice import MemoryAdvice
from ..batches.micro_batch import MicroBatch
from ..batches.position import rows_of
from ..failures import lost_device
from ..failures.out_of_memory import EVALUATE_LESS, NEED_LESS, is_out_of_memory, out_of_memory_error, release_tensors
from .smaller_batch import SmallerBatch

if TYPE_CHECKING:
    from .burst import Burst
    from .loop import BurstLoop
    from .result import BurstResult


def is_of_device(error: Exception) -> bool:
    """Whether an error is the device's, and a better message than its own is known."""
    return lost_device.is_lost(error) or is_out_of_memory(error)


def translate_device_error(burst: Burst, loop: BurstLoop, failed: Exception) -> VlmFreezeError:
    """Replaces a device error by one of ours and frees the tensors that its traceback keeps alive."""
    tried, loop.tried = loop.tried, ()
    shown: VlmFreezeError
    if lost_device.is_lost(failed):
        lost_device.mark_lost(failed, loop.device)
        release_tensors(failed)
        loop.problem = lost_device.error_of(loop.device, None)
        loop.stopped_early = loop.problem.problem
        result = burst.result() if len(loop.history) else None
        shown = lost_device.error_of(loop.device, _save_first(result) if result else None)
        if result is not None:
            result.problem = shown
    else:
        release_tensors(failed, loop.device)
        rows = max((rows_of(b.tensors) for b in tried), default=loop.batches.position.rows_per_batch)
        advice, found = _advice(burst, loop, tried)
        shown = out_of_memory = out_of_memory_error(failed, rows, loop.device, advice)
        out_of_memory.advice = found
    loop.problem = shown
    loop.stopped_early = shown.problem
    loop.recording.failed(shown)
    return shown


def _advice(burst: Burst, loop: BurstLoop, tried: tuple[MicroBatch, ...]) -> tuple[str, MemoryAdvice | None]:
    """What a search on the restored model found to run, in words, "" where there was none, and as a value."""
    if loop.is_evaluating:
        return EVALUATE_LESS, None
    if not tried:
        return NEED_LESS, None
    if loop.settings.on_out_of_memory != "search":
        return "", None
    search = SmallerBatch(loop.model, loop.plan, loop.settings, lambda: loop.stop_requested, type(burst))
    words = search.advice(max(tried, key=lambda b: (b.input_tokens, rows_of(b.tensors))))
    return words, search.found


def _save_first(result: BurstResult) -> Path | None:
    """Writes what a burst left into a new private folder among the temporary files, since the kernel must be restarted.

    Returns:
        The folder; None where nothing can be written.
    """
    with contextlib.suppress(Exception):
        return result.save(Path(tempfile.mkdtemp(prefix="vlmfreeze-lost-device-")))
    return None
