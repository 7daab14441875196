"""Writing on a thread of its own, for disks that are slower than steps. What is written, and how it becomes whole, is not here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path


class Saving:
    """A folder that is being written while the burst goes on.

    The thread is no daemon: a process that ends waits until the folder is whole.

    Args:
        write: Writes it and gives its path.
        before: Another one that must be over first, so that the disk sees states in their order.
    """

    def __init__(self, write: Callable[[], Path], before: Saving | None = None) -> None:
        self._write = write
        self._before = before
        self._path: Path | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="vlmfreeze-saving")
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether it is over, well or not."""
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> Path:
        """The folder, once it is whole.

        Args:
            seconds: At most; by default as long as it takes.

        Raises:
            CannotSave: The disk refused; what was saved before is intact.
            TimeoutError: It is still being written.
        """
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError("The state is still being written.")
        if self._error is not None:
            raise self._error
        assert self._path is not None
        return self._path

    def _run(self) -> None:
        if self._before is not None:
            self._before._thread.join()  # noqa: SLF001 - of the same class
            self._before = None
        try:
            self._path = self._write()
        except BaseException as error:  # told by wait
            self._error = error
        del self._write  # and with it the copies
