"""Interrupting the kernel stops a burst that a page started: between cells by the signal, in a cell by its exception."""

from __future__ import annotations

import signal
import threading
from types import SimpleNamespace

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from tests.waiting import until
from tests.widgets.test_lifetime import running
from vlmfreeze_widgets.widgets import interrupts


@pytest.fixture
def kernel(monkeypatch):
    """IPython's shell with its kernel, as far as they are asked."""
    hooks = {}
    made = SimpleNamespace(
        events=SimpleNamespace(register=hooks.__setitem__), kernel=SimpleNamespace(saved_sigint_handler=signal.SIG_IGN), hooks=hooks
    )  # fmt: skip
    monkeypatch.setattr(interrupts, "get_ipython", lambda: made)
    return made


def test_an_interrupt_between_cells_stops_the_burst_and_its_result_can_be_kept(kernel):
    bench = running(tiny_llava())
    handler = kernel.kernel.saved_sigint_handler
    assert bench.session.phase == "running"
    handler(signal.SIGINT, None)
    until(lambda: bench.session.phase == "deciding")
    assert "stopped" in bench.session.status.message
    bench.keep()
    bench.wait(120)
    bench.close()


def test_an_interrupt_of_a_cell_stops_the_burst_and_another_error_does_not(kernel):
    bench = running(tiny_llava())
    after = kernel.hooks["post_run_cell"]
    after(SimpleNamespace(error_in_exec=ValueError("of the cell")))
    after(SimpleNamespace(error_in_exec=None))
    assert not bench.session._context.stop_requested.is_set()
    after(SimpleNamespace(error_in_exec=KeyboardInterrupt()))
    until(lambda: bench.session.phase == "deciding")
    bench.close()


def test_a_handler_of_somebody_else_stays(kernel):
    own = lambda *_: None  # noqa: E731
    kernel.kernel.saved_sigint_handler = own
    bench = vf.Workbench(tiny_llava(), batches())
    assert kernel.kernel.saved_sigint_handler is own
    bench.close()


def test_nothing_is_set_from_another_thread(kernel):
    thread = threading.Thread(target=interrupts.watch_interrupts)
    thread.start()
    thread.join()
    assert kernel.hooks == {}
