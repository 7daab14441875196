"""The one thread that touches a live model: an inbox of jobs, done in turn. What the jobs do is in the files beside."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from weakref import WeakMethod

from ..engine.burst.switch_interval import short_turns


class Worker:
    """Does jobs one after the other on a thread that begins with the first.

    The thread keeps nothing alive but the job that it does: an owner without another reference is freed while its thread is idle.

    Args:
        failed: Called with whatever a job raises; the thread goes on. A method is held weakly.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = WeakMethod(failed) if hasattr(failed, "__self__") else lambda: failed
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._settled = threading.Event()
        self._settled.set()
        self._ended = threading.Event()
        self._is_closed = False
        self.thread: threading.Thread | None = None

    def post(self, job: Callable[[], None]) -> bool:
        """Puts a job into the inbox.

        Returns:
            False when the worker was ended: the job is not done.
        """
        with self._lock:
            if self._is_closed:
                return False
            self._pending += 1
            self._settled.clear()
            self._inbox.put(job)
            if self.thread is None:
                self.thread = threading.Thread(target=self._loop, name="vlmfreeze-worker", daemon=True)
                self.thread.start()
            return True

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until the inbox is empty; own event, since an interrupted ``join`` breaks ``is_alive`` (CPython 3.11).

        Returns:
            False when the time was up first.
        """
        return self._settled.wait(timeout)

    def end(self, last: Callable[[], None] | None = None) -> None:
        """Lets the thread end after what is in the inbox, and takes no more jobs; returns at once.

        Args:
            last: Done as the last job; at once, on this thread, where none was ever started.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if self.thread is not None:
                if last is not None:
                    self._pending += 1
                    self._settled.clear()
                    self._inbox.put(last)
                self._inbox.put(None)
                return
        self._ended.set()
        if last is not None:
            last()

    def close(self, timeout: float = 30.0) -> bool:
        """Ends the thread after what is in the inbox, and waits for it.

        Returns:
            False when the time was up first; the thread ends when its job does.
        """
        self.end()
        if self.thread is threading.current_thread():
            return True
        ended = self._ended.wait(timeout)
        if ended and self.thread is not None:
            self.thread.join(1.0)  # it has nothing left to do
            self.thread = None
        return ended

    def _loop(self) -> None:
        try:
            while (job := self._inbox.get()) is not None:
                try:
                    with short_turns:
                        job()
                except BaseException as error:  # the thread must outlive any failure, and the user must see it
                    if (failed := self._failed()) is not None:
                        failed(error)
                    failed = None
                finally:
                    job = None  # an idle thread must not keep what its last job was about
                    with self._lock:
                        self._pending -= 1
                        if not self._pending:
                            self._settled.set()
        finally:
            self._ended.set()
