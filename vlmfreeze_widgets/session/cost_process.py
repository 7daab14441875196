"""The other end of ``session.cost_server``: starts the process, asks, ends it; where it cannot be, answers here on this thread."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from ..core.cost.estimate import CostEstimate
from ..core.errors import VlmFreezeError
from ..core.shorten import shorten
from ..engine.burst.switch_interval import short_turns
from .cost_server import Answers, Question, Subject


class NoEstimate(VlmFreezeError):
    """A cost could not be estimated; nothing else is wrong."""

    code = "no-estimate"


class CostProcess:
    """Asks one question at a time, from one thread; ``close`` may come from any other, at any moment.

    Args:
        subject: What is asked about; models that cannot be sent to another process are traced in this one.
        own_process: Whether a process is wanted.
        start: Whether to start it now; else ``start`` does, so that another thread can end it while it starts.
    """

    def __init__(self, subject: Subject, own_process: bool = True, *, start: bool = True) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._here: Answers | None = None
        self._subject = subject
        self._own_process = own_process
        self._lock = threading.Lock()
        self._is_closed = False
        if start:
            self.start()

    def start(self) -> None:
        """Starts the process and tells it the subject; blocks for seconds, in which ``close`` ends it."""
        sent = _pickled(self._subject) if self._own_process else None
        if sent is not None:
            self._start(sent)
        if self._process is None:
            self._here = Answers()

    @property
    def is_apart(self) -> bool:
        """Whether the answers come from another process."""
        return self._process is not None

    def ask(self, question: Question) -> CostEstimate:
        """One estimate; blocks for seconds, in which other threads run.

        Raises:
            NoEstimate: There is none; the message says why.
        """
        if self._is_closed:
            raise _none("The process that estimates has ended.")
        if self._process is not None:
            ok, answer = self._exchange(pickle.dumps(question))
            if not ok:
                raise _none(str(answer))
            assert isinstance(answer, CostEstimate)
            return answer
        assert self._here is not None
        with short_turns:
            try:
                self._here.take(self._subject)
                answer = self._here.take(question)
            except Exception as error:
                raise _none(shorten(f"{type(error).__name__}: {error}", 400)) from error
        assert isinstance(answer, CostEstimate)
        return answer

    def close(self) -> None:
        """Ends the process at once, also while it starts or answers: a caller that waits for it gets no answer."""
        with self._lock:
            self._is_closed = True
            process = self._process
        if process is not None:
            _end(process)

    def _start(self, subject: bytes) -> None:
        # The child must find the same package as this process, wherever that was started.
        paths = [str(Path(__file__).resolve().parents[2]), *(p for p in sys.path if p)]
        try:
            with self._lock:
                if self._is_closed:
                    return
                self._process = subprocess.Popen(
                    [sys.executable, "-c", f"from {__package__}.cost_server import main; main()"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={
                        **os.environ,
                        "PYTHONPATH": os.pathsep.join(paths),
                        "OMP_NUM_THREADS": "1",
                        "CUDA_VISIBLE_DEVICES": "",
                    },
                )
            ok, _ = self._exchange(subject)
        except (OSError, NoEstimate):
            ok = False
        if not ok and self._process is not None:
            _end(self._process)
            self._process = None

    def _exchange(self, sent: bytes) -> tuple[bool, object]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(sent)
            process.stdin.flush()
            answer: tuple[bool, object] = pickle.load(process.stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:  # ValueError: closed meanwhile
            raise _none("The process that estimates has ended.") from error
        return answer


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what was not written yet has nobody to read it
                pipe.close()


def _pickled(subject: Subject) -> bytes | None:
    try:
        sent = pickle.dumps(subject)
    except Exception:  # hooks and classes of a notebook's own cells cannot be sent
        return None
    return sent


def _none(found: str) -> NoEstimate:
    return NoEstimate(
        "The cost could not be estimated.",
        expected="a model whose code can be traced with this batch",
        found=found,
        remedy="vf.estimate_cost(model, strategy, batch) says more.",
    )
