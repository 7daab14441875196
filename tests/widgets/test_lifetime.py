"""A Workbench lives as long as a name refers to it or a page shows it; then its burst stops, and the model is freed as it was."""

from __future__ import annotations

import gc
import time
import weakref
from types import SimpleNamespace

import ipywidgets
import pytest
from ipywidgets.widgets import widget as registry

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from tests.waiting import until
from tests.widgets.test_workbench import request
from vlmfreeze_widgets.widgets import lifetime
from vlmfreeze_widgets.widgets.assets import asset


def until_collected(condition):
    """Waits for what the garbage collector brings."""
    until(lambda: gc.collect() >= 0 and condition())


def running(model, **more):
    bench = vf.Workbench(model, batches(), vf.Strategy({"projector": "full"}), steps=100_000, **more)
    bench.run()
    until(lambda: len(bench.history) >= 1)
    return bench


def looked_at(bench, page="p1"):
    """A page greets, as one in a browser does, but without the costs that it would ask for."""
    bench.session.costs.start = lambda: None
    bench.commands.answer(request("hello", attempt=1))
    bench.commands.answer(request("views", page=page, count=1))


@pytest.fixture
def shell(monkeypatch):
    """IPython's names and results, as far as they are looked at."""
    names = {"_oh": {}}
    hook = SimpleNamespace(_="", __="", ___="")
    made = SimpleNamespace(user_ns=names, user_ns_hidden={}, displayhook=hook, last_execution_result=None)
    monkeypatch.setattr(lifetime, "get_ipython", lambda: made)
    return made


def test_a_burst_whose_workbench_nobody_refers_to_stops_and_the_model_is_freed():
    model = tiny_llava()
    before = fingerprint(model)
    bench = running(model)
    held, session = weakref.ref(bench), weakref.ref(bench.session)
    known = bench.model_id
    del bench
    until_collected(lambda: held() is None and session() is None)
    assert fingerprint(model) == before
    assert known not in registry._instances
    gone = weakref.ref(model)
    del model
    until_collected(lambda: gone() is None)


def test_what_a_page_shows_goes_on_without_a_name_until_its_last_view_is_gone(monkeypatch):
    monkeypatch.setattr(lifetime, "ROLL_CALL_SECONDS", 0.05)
    model = tiny_llava()
    bench = running(model)
    looked_at(bench)
    held, commands = weakref.ref(bench), bench.commands
    steps, session = len(bench.history), weakref.ref(bench.session)
    del bench
    until(lambda: len(held().history) > steps + 3)
    commands.answer(request("views", page="p1", count=0))
    del commands
    until_collected(lambda: held() is None and session() is None)


def test_a_second_page_that_still_shows_it_answers_the_roll_call(monkeypatch):
    monkeypatch.setattr(lifetime, "ROLL_CALL_SECONDS", 1.0)
    bench = vf.Workbench(tiny_llava(), batches())
    asked = []
    monkeypatch.setattr(type(bench), "send", lambda self, content, buffers=None: asked.append(content))
    looked_at(bench)
    bench.commands.answer(request("views", page="p1", count=0))
    assert {"v": 1, "kind": "views"} in asked
    bench.commands.answer(request("views", page="p2", count=1))
    held = weakref.ref(bench)
    del bench
    time.sleep(1.5)
    gc.collect()
    assert held() is not None
    held().close()


def test_ipythons_memory_of_results_is_no_name(shell, monkeypatch):
    monkeypatch.setattr(lifetime, "ROLL_CALL_SECONDS", 0.05)
    bench = vf.Workbench(tiny_llava(), batches())
    shell.user_ns |= {"_": bench, "_3": bench, "_12": "other", "bench": bench}
    shell.user_ns_hidden |= {"_3": bench}
    shell.user_ns["_oh"] |= {3: bench, 12: "other"}
    shell.displayhook._ = bench
    shell.last_execution_result = SimpleNamespace(result=bench)
    looked_at(bench)
    bench.commands.answer(request("views", page="p1", count=0))
    until_collected(lambda: 3 not in shell.user_ns["_oh"])
    assert shell.user_ns["_12"] == "other"
    assert shell.user_ns["bench"] is bench  # a name is a name
    held = weakref.ref(bench)
    del bench
    gc.collect()
    assert held() is not None
    del shell.user_ns["bench"]
    until_collected(lambda: held() is None)


def test_six_runs_of_a_cell_leave_one_workbench(monkeypatch):
    monkeypatch.setattr(lifetime, "ROLL_CALL_SECONDS", 0.05)
    alive = []
    bench = None
    for turn in range(6):
        old = bench.commands if bench is not None else None
        if old is not None:
            old.answer(request("views", page="p1", count=0))  # the page takes the old output away
        bench = running(tiny_llava()) if turn in (2, 5) else vf.Workbench(tiny_llava(), batches())
        looked_at(bench)
        alive.append(weakref.ref(bench))
        del old
    until_collected(lambda: sum(ref() is not None for ref in alive) == 1)
    assert bench.session.phase == "running"
    ipywidgets.Widget.close_all()
    assert bench.session.is_closed
    assert bench.session.model is None


def test_one_that_is_to_go_on_goes_on_and_can_be_found_again():
    bench = running(tiny_llava(), keep_running=True)
    held, steps = weakref.ref(bench), len(bench.history)
    del bench
    gc.collect()
    until(lambda: len(held().history) > steps)
    assert vf.Workbench.kept() == [held()]
    vf.Workbench.kept()[0].close()
    assert vf.Workbench.kept() == []
    until_collected(lambda: held() is None)


def test_a_session_that_somebody_gave_is_not_ended_with_the_page():
    session = vf.Session(tiny_llava(), batches(), vf.Strategy({"projector": "full"}))
    bench = vf.Workbench(session=session)
    del bench
    gc.collect()
    assert not session.is_closed
    session.close()


def test_a_host_that_closes_the_comm_has_no_view_any_more():
    bench = running(tiny_llava())
    looked_at(bench)
    held, comm = weakref.ref(bench), bench.comm
    del bench
    gc.collect()
    assert held() is not None
    comm.close()  # as marimo does when the cell runs again
    until_collected(lambda: held() is None)


def test_a_host_that_clears_its_names_has_ended_its_session(monkeypatch):
    from vlmfreeze_widgets.adapters import marimo_host

    names = {}
    monkeypatch.setattr(marimo_host, "names", lambda: names)
    bench = running(tiny_llava())
    looked_at(bench)
    assert bench in names.values()
    names.clear()  # marimo run, some time after the browser was closed
    until_collected(lambda: bench.session.is_closed and bench.session.model is None)
    bench.close()


def test_map_and_monitor_are_freed_too():
    shown = vf.FreezeMap(tiny_llava())
    monitor = vf.BurstMonitor(vf.Session(tiny_llava()).history)
    held = [weakref.ref(shown), weakref.ref(monitor), weakref.ref(shown.commands)]
    del shown, monitor
    until_collected(lambda: not [ref for ref in held if ref() is not None])


def test_control_an_ordinary_widget_of_ipywidgets_is_never_freed():
    import anywidget

    class Page(anywidget.AnyWidget):
        _esm = asset("commands.js").read_text(encoding="utf-8")

    page = Page()
    held = weakref.ref(page)
    del page
    gc.collect()
    assert held() is not None
    held().close()
