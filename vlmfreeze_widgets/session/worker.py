"""The one thread that touches a live model: an inbox of jobs, done in turn. What the jobs do is in the files beside."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from ..engine.turns import short_turns


class Worker:
    """Does jobs one after the other on a thread that begins with the first.

    Args:
        failed: Told of whatever a job raises; the thread goes on.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._settled = threading.Event()
        self._settled.set()
        self.thread: threading.Thread | None = None

    def post(self, job: Callable[[], None]) -> None:
        """Puts a job into the inbox."""
        with self._lock:
            self._pending += 1
            self._settled.clear()
            self._inbox.put(job)
            if self.thread is None:
                self.thread = threading.Thread(target=self._loop, name="vlmfreeze-worker", daemon=True)
                self.thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the inbox is empty; own event, since an interrupted ``join`` breaks ``is_alive`` (CPython 3.11).

        Returns:
            False when the time was up first.
        """
        return self._settled.wait(timeout)

    def close(self) -> None:
        """Ends the thread after what is in the inbox."""
        if self.thread is not None:
            self._inbox.put(None)
            self._settled.wait(30)
            self.thread = None

    def _loop(self) -> None:
        while (job := self._inbox.get()) is not None:
            try:
                with short_turns:
                    job()
            except BaseException as error:  # the thread must outlive any failure, and the person must see it
                self._failed(error)
            finally:
                with self._lock:
                    self._pending -= 1
                    if not self._pending:
                        self._settled.set()
