"""Worker processes of a user's DataLoader: none is waited for without end, and none is left. We start none ourselves.

What is read from them is in ``engine.batches.micro_batches``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from ...core.errors import DataWorkerLost

PATIENCE = 25.0
"""Seconds that a worker may take for one batch where the DataLoader itself sets no limit; without one it waits for ever."""

_GONE = 1.0  # seconds that the system may take to tell of a process that was killed


def begin_pass(source: Iterable[Any]) -> Iterator[Any]:
    """An iterator over a source; one with worker processes gets a time limit if it has none."""
    loader: Any = source
    if not _has_workers(source) or loader.timeout:
        return iter(source)
    loader.timeout = PATIENCE
    try:
        return iter(source)
    finally:
        loader.timeout = 0


def end_pass(iterator: Iterator[Any] | None) -> None:
    """Ends the workers behind an iterator that is not read any more, unless they are to stay (``persistent_workers``)."""
    if isinstance(iterator, _MultiProcessingDataLoaderIter) and not iterator._persistent_workers:  # noqa: SLF001
        iterator._shutdown_workers()  # noqa: SLF001 - what its __del__ calls, later


def as_lost(error: Exception, iterator: Iterator[Any] | None) -> DataWorkerLost | None:
    """What an error of torch's DataLoader means, with all of its workers ended; None where it is something else.

    torch raises on the main thread from a signal handler, at any place, and elsewhere from ``next``.
    """
    text = str(error)
    is_loader_error = isinstance(error, RuntimeError) and text.startswith(("DataLoader worker", "DataLoader timed out"))
    if not is_loader_error and not _cut_off(error, iterator):
        return None
    if isinstance(iterator, _MultiProcessingDataLoaderIter):
        _end_at_once(iterator)
    hung = text.startswith("DataLoader timed out")
    return DataWorkerLost(
        "A worker process of the DataLoader gives no batch."
        if hung
        else "A worker process of the DataLoader was killed.",
        expected="a batch within the DataLoader's timeout" if hung else "workers that live as long as the burst",
        found=text.partition("\n")[0][:200],
        remedy="Give DataLoader(timeout=...) more seconds, or num_workers=0 to see what it waits for."
        if hung
        else "Use num_workers=0, or fewer workers: most often the system ended one for want of memory.",
    )


def _cut_off(error: Exception, iterator: Iterator[Any] | None) -> bool:
    """Whether a pipe broke because a worker is gone: a killed one may leave half a batch behind, which torch does not catch."""
    if not isinstance(error, ConnectionError | EOFError) or not isinstance(iterator, _MultiProcessingDataLoaderIter):
        return False
    workers = iterator._workers  # noqa: SLF001
    for worker in workers:
        worker.join(_GONE / len(workers))
    return any(not worker.is_alive() for worker in workers)


def _end_at_once(iterator: _MultiProcessingDataLoaderIter) -> None:
    if getattr(iterator, "_worker_pids_set", False):
        # Else torch's signal handler would take our own killing for a loss, and raise a second time.
        signal_handling._remove_worker_pids(id(iterator))  # type: ignore[attr-defined]  # noqa: SLF001
        iterator._worker_pids_set = False  # noqa: SLF001
    for worker in iterator._workers:  # noqa: SLF001
        worker.kill()  # one that hangs would be joined for five seconds
    iterator._shutdown_workers()  # noqa: SLF001


def _has_workers(source: Iterable[Any]) -> bool:
    return isinstance(source, DataLoader) and source.num_workers > 0
