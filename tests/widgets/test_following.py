"""The plots of a run in another process: the page sees its phase, its steps and its error as it does those of a burst."""

import pytest

from tests.launch.test_follow import history, record
from tests.waiting import until
from vlmfreeze_widgets import BurstMonitor, follow
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run", 8, 2)


def test_a_monitor_shows_a_run_from_before_its_begin_to_its_end(folder):
    with follow(folder.path) as followed:
        sent = []
        monitor = BurstMonitor(followed)
        monitor._feed._send = lambda message, buffers: sent.append(message)
        until(lambda: monitor.run_state["phase"] == "preparing")
        folder.open()
        made = history()
        folder.begin(made)
        folder.show(phase="running")
        for step in range(1, 4):
            folder.add(record(step))
        until(lambda: (monitor.run_state["step"], monitor.run_state["phase"]) == (3, "running"))
        state = monitor.run_state
        assert (state["phase"], state["steps"], state["rows"]) == ("running", 8, 3)
        assert state["columns"]["grad_norm"] == ["projector", "language_model"]
        folder.show(phase="saving")
        until(lambda: monitor.run_state["message"] == "Saving the result")
        folder.show(phase="finished", step=3, message="2 seconds were up")
        until(lambda: monitor.run_state["phase"] == "idle")
        assert monitor.run_state["message"] == "2 seconds were up"
        rows = [range(m["first"], m["first"] + m["count"]) for m in sent if m["kind"] == "rows"]
        assert [i for piece in rows for i in piece] == [0, 1, 2]
        monitor.close()


def test_a_failed_run_is_shown_with_its_three_parts(folder):
    folder.open()
    folder.fail({"code": "bad-batch", "message": "m", "expected": "e", "found": "f", "remedy": "r"})
    monitor = BurstMonitor(follow(folder.path))
    until(lambda: monitor.run_state["phase"] == "failed")
    assert monitor.run_state["error"]["remedy"] == "r"
    monitor.close()


def test_a_run_that_lies_on_the_disk_is_opened_with_its_verdicts(tmp_path):
    import vlmfreeze_widgets as vf
    from tests.tiny import batches, tiny_llava

    burst = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=3, lr=1e-3, run_folder=tmp_path)
    result = burst.run()
    monitor = vf.BurstMonitor(vf.load_run(burst.recording.folder))
    try:
        state = monitor.run_state
        assert (state["rows"], state["steps"], state["phase"]) == (3, 3, "idle")
        assert [v["text"] for v in state["verdicts"]] == [v.text for v in result.verdicts]
    finally:
        monitor.close()


def test_a_monitor_of_a_page_that_has_not_run_yet_shows_its_burst():
    import vlmfreeze_widgets as vf
    from tests.tiny import batches, tiny_llava

    bench = vf.Workbench(tiny_llava(), batches(), steps=3)
    by_history, by_page = vf.BurstMonitor(bench.history), vf.BurstMonitor(bench)
    try:
        until(lambda: by_history.run_state["rows"] == 0)
        bench.run()
        assert bench.wait(120)
        until(lambda: (by_history.run_state["rows"], by_page.run_state["rows"]) == (3, 3))
        assert by_history.history is bench.history
        assert by_history.run_state["steps"] == 3
    finally:
        bench.close()
        by_history.close()
        by_page.close()
