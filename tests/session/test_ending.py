"""How a session ends: closed, let go, taken over, with the interpreter. Nothing of it outlives that; the model is as before."""

from __future__ import annotations

import atexit
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections import Counter
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from tests.waiting import until
from vlmfreeze_widgets.core.errors import ModelBusy, UnknownTarget, WrongPhase
from vlmfreeze_widgets.session import Session

PROJECTOR = vf.Strategy({"projector": "full"})


def running(model=None, steps=100_000, **more):
    settings = vf.BurstSettings(steps=steps)
    session = Session(model if model is not None else tiny_llava(), batches(), PROJECTOR, settings=settings, **more)
    session.run()
    until(lambda: len(session.history) >= 1)
    return session


def ours():
    """What a session may leave behind: threads, child processes, open files."""
    threads = [t.name for t in threading.enumerate() if t.name.startswith("vlmfreeze")]
    tasks = list(Path("/proc/self/task").iterdir())  # children are listed by the thread that made them
    processes = [child for task in tasks if task.is_dir() for child in (task / "children").read_text().split()]
    return threads, processes, len(list(Path("/proc/self/fd").iterdir()))


def test_a_closed_session_holds_neither_model_nor_batches_though_its_name_is_bound():
    model = tiny_llava()
    before = fingerprint(model)
    session = running(model)
    session.close()
    assert fingerprint(model) == before
    taken = len(session.history)
    held = weakref.ref(model)
    del model
    gc.collect()
    assert held() is None
    assert session.result.history.taken == taken  # what was recorded can still be read
    assert session.status.phase == "plan_only"
    with pytest.raises(WrongPhase, match="was closed"):
        session.run()
    with pytest.raises(WrongPhase):
        session.result.keep()
    session.close()


def test_control_an_open_session_holds_its_model():
    session = Session(tiny_llava(), batches(), PROJECTOR)
    held = weakref.ref(session.model)
    gc.collect()
    assert held() is not None
    session.close()


def test_weights_of_stages_that_nobody_kept_are_taken_off_at_the_end():
    model = tiny_llava()
    before = fingerprint(model)
    stages = vf.Stages("two", (vf.Stage("a", PROJECTOR, steps=2), vf.Stage("b", PROJECTOR, steps=2)))
    session = Session(model, batches(), stages)
    session.run_stages()
    assert session.wait(120)
    assert fingerprint(model) != before
    session.close()
    assert fingerprint(model) == before


def test_an_idle_session_that_nobody_refers_to_is_freed():
    session = Session(tiny_llava(), batches(), PROJECTOR, settings=vf.BurstSettings(steps=2))
    session.run()
    assert session.wait(120)
    session.costs.start()
    model, held = weakref.ref(session.model), weakref.ref(session)
    del session
    until(lambda: gc.collect() >= 0 and held() is None and model() is None)


def test_twenty_sessions_closed_at_random_moments_leave_nothing():
    draw = random.Random(7)
    Session(tiny_llava(), batches(), PROJECTOR).close()
    gc.collect()
    threads, processes, files = ours()
    held = []
    for turn in range(20):
        model = tiny_llava()
        session = Session(model, batches(), PROJECTOR, settings=vf.BurstSettings(steps=100_000))
        session.costs.start()  # a process that takes seconds to begin
        if turn % 3:
            session.run()
        if turn % 5 == 1:
            session.look_for_runs()
        time.sleep(draw.uniform(0, 0.15))
        held += [weakref.ref(model), weakref.ref(session)]
        assert session.close()
        del session, model
    # What an earlier test left may end meanwhile, so only what is more counts.
    until(lambda: not Counter(ours()[0]) - Counter(threads) and set(ours()[1]) <= set(processes))
    gc.collect()
    assert ours()[2] <= files + 2
    assert [ref for ref in held if ref() is not None] == []


def test_control_an_open_session_is_seen_by_the_count():
    before = ours()
    session = running()
    assert ours()[0] != before[0]
    session.close()


def test_a_cost_process_is_ended_while_it_starts():
    before = ours()[1]
    session = Session(tiny_llava(), batches(), PROJECTOR)
    session.costs.start()
    until(lambda: set(ours()[1]) - set(before))
    session.close()
    assert set(ours()[1]) <= set(before)
    assert not any(t.name == "vlmfreeze-cost" for t in threading.enumerate())


def test_a_new_session_takes_the_model_over_and_says_so(caplog):
    model = tiny_llava()
    before = fingerprint(model)
    older = running(model)
    newer = Session(model, batches(), PROJECTOR, settings=vf.BurstSettings(steps=2))
    assert older.phase == "plan_only"
    assert older.model is None
    assert fingerprint(model) == before
    assert "older Workbench" in newer.took_over
    assert "was stopped" in newer.status.message
    assert "older Workbench" in caplog.text
    assert "newer Workbench" in older.status.why_not
    with pytest.raises(WrongPhase, match="newer Workbench"):
        older.run()
    newer.run()
    assert newer.wait(120)
    assert newer.phase == "deciding"
    last = Session(model, batches(), PROJECTOR)
    assert "undecided" in last.took_over
    older.close()
    newer.close()
    last.close()
    assert Session(model, batches(), PROJECTOR).took_over is None


def test_a_session_that_is_refused_takes_nothing_over():
    older = running()
    with pytest.raises(UnknownTarget):
        Session(older.model, batches(), vf.Strategy({"no_such_part": "full"}))
    assert older.phase == "running"
    # A look without batches takes nothing either.
    assert Session(older.model, None, PROJECTOR).took_over is None
    assert older.phase == "running"
    older.close()


def test_a_step_that_does_not_end_is_named(monkeypatch):
    monkeypatch.setattr("vlmfreeze_widgets.session.open_sessions._STEP_SECONDS", 0.2)
    asked, asleep = threading.Event(), threading.Event()

    class Slow(list):
        def __iter__(self):
            yield batches()[0]
            asked.set()
            asleep.wait(30)
            yield batches()[1]

    model = tiny_llava()
    older = Session(model, Slow([0]), PROJECTOR)
    older.run()
    assert asked.wait(120)
    with pytest.raises(ModelBusy, match="step"):
        Session(model, batches(), PROJECTOR)
    asleep.set()
    assert older.close()
    Session(model, batches(), PROJECTOR).close()


SCRIPT = """
import sys, time, os
import torch
torch.set_num_threads(1)
import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
"""


def python(code, folder):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + textwrap.dedent(code), str(folder)],
        check=False, capture_output=True, text=True, timeout=300, cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


@pytest.mark.parametrize("page", [True, False])
def test_an_interpreter_that_ends_while_a_burst_runs_stops_it(tmp_path, page):
    of_page = """
    bench = vf.Workbench(tiny_llava(), batches(), steps=100_000, run_folder=sys.argv[1])
    bench.session.costs.start()
    bench.run()
    while len(bench.history) < 2: time.sleep(0.01)
    """
    of_thread = """
    import threading
    burst = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=100_000, run_folder=sys.argv[1])
    threading.Thread(target=lambda: [None for _ in burst], daemon=True).start()
    while len(burst.history) < 2: time.sleep(0.01)
    """
    ended = python(of_page if page else of_thread, tmp_path / "runs")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    (run,) = vf.list_runs(tmp_path / "runs")
    assert run.state.phase == "stopped"
    assert run.proof["changed"] == []


def test_a_fork_with_an_open_burst_ends_and_leaves_the_parents_run_alone(tmp_path):
    # Forked from here: an interpreter of its own would import torch and transformers again, ten seconds of CPU.
    session = Session(tiny_llava(), batches(), PROJECTOR)
    session.run(1)
    session.wait()
    burst = vf.Burst(tiny_llava(), PROJECTOR, batches(), steps=50, run_folder=tmp_path)
    next(burst)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout has a handler of its own
        signal.alarm(120)  # a child that waits for threads of its parent is killed, and the status says so
        code = 1
        try:
            del burst, session
            gc.collect()
            threading._shutdown()
            atexit._run_exitfuncs()
            code = 7
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert [run.state.phase for run in vf.list_runs(tmp_path)] == ["running"]
    next(burst)
    burst.close()
    session.close()
    assert [(run.state.phase, run.history.taken) for run in vf.list_runs(tmp_path)] == [("stopped", 2)]
