"""The outbox turns many changes into few flushes, and the last change is always in the last flush."""

import threading
import time

import pytest

from tests.waiting import settled, until
from vlmfreeze_widgets.widgets.outbox import Outbox


def test_twenty_thousand_touches_are_few_flushes_and_the_last_state_wins():
    state, shown = [0], []
    outbox = Outbox(lambda: shown.append(state[0]))
    began = time.monotonic()
    for i in range(20_000):
        state[0] = i
        outbox.touch()
    until(lambda: shown and shown[-1] == 19_999, "the last state")
    assert len(shown) <= 10 * (time.monotonic() - began) + 2
    outbox.close()


def test_a_change_during_a_flush_causes_another_one():
    state, shown = [0], []

    def flush():
        shown.append(state[0])
        if state[0] == 0:
            state[0] = 1
            outbox.touch()

    outbox = Outbox(flush)
    outbox.touch()
    until(lambda: len(shown) == 2, "another flush")
    assert settled(lambda: list(shown)) == [0, 1]
    outbox.close()


def test_a_failing_flush_is_told_and_the_next_one_still_happens():
    errors, calls = [], []

    def flush():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("broken pipe")

    outbox = Outbox(flush, errors.append)
    outbox.touch()
    until(lambda: errors, "the error")
    outbox.touch()
    until(lambda: len(calls) == 2, "the next flush")
    assert len(errors) == 1
    outbox.close()


@pytest.mark.check("L7")
def test_after_closing_nothing_is_flushed_and_no_thread_is_left():
    calls = []
    outbox = Outbox(lambda: calls.append(1))
    outbox.touch()
    until(lambda: calls, "the flush")
    outbox.close()
    outbox.touch()
    time.sleep(0.3)
    assert calls == [1]
    assert not any(t.name == "vlmfreeze-outbox" and t.is_alive() for t in threading.enumerate() if t is outbox._thread)
