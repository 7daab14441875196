"""The one way out to the page: at most ten flushes a second and always a last one. What is flushed is the widget's affair.

The server silently drops messages beyond about 1,000 a second, so 20,000 changes must become few flushes, of which the last
carries the final state.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FLUSHES_PER_SECOND = 10.0
_IDLE_SECONDS = 5.0  # an idle flusher ends its thread; the next touch starts another


class Outbox:
    """Calls ``flush`` soon after it was touched, on a thread of its own, not more often than allowed.

    Args:
        flush: Publishes the present state; called under the outbox's lock, never twice at a time.
        failed: Called when ``flush`` raises.
    """

    def __init__(self, flush: Callable[[], None], failed: Callable[[BaseException], None] | None = None) -> None:
        self._flush = flush
        self._failed = failed
        self.lock = threading.RLock()
        self._wake = threading.Condition()
        self._dirty = False
        self._closed = False
        self._thread: threading.Thread | None = None
        self.flushes = 0

    def touch(self) -> None:
        """Something changed. Cheap; from any thread."""
        with self._wake:
            if self._closed or self._dirty:
                return
            self._dirty = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="vlmfreeze-outbox", daemon=True)
                self._thread.start()
            self._wake.notify()

    def close(self) -> None:
        """No more flushes."""
        with self._wake:
            self._closed = True
            self._wake.notify()

    def _loop(self) -> None:
        while True:
            with self._wake:
                if not self._dirty and not self._closed:
                    self._wake.wait(_IDLE_SECONDS)
                if self._closed or not self._dirty:
                    self._thread = None
                    return
                # Before the flush, not after: a change during the flush must cause another one.
                self._dirty = False
            try:
                with self.lock:
                    self._flush()
                self.flushes += 1
            except Exception as error:
                if self._failed is not None:
                    self._failed(error)
            time.sleep(1 / FLUSHES_PER_SECOND)
