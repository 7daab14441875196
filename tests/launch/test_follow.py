"""A follower sees every step exactly once, however the file grows, and knows when nobody writes it any more."""

import gc
import json
import math
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from tests.waiting import until
from vlmfreeze_widgets import History, follow
from vlmfreeze_widgets.core.errors import BadState, CannotSave
from vlmfreeze_widgets.core.history.history import StepRecord
from vlmfreeze_widgets.core.history.jsonl import HistoryLines, end_line, header_line, record_line
from vlmfreeze_widgets.core.history.norms import ModuleNorms, NormLayout
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder, is_gone, read_state

LAYOUT = NormLayout(("p.weight", "q.lora_A"), ("p", "q"), ("projector", "language_model"))


def record(step, loss=1.5):
    norms = ModuleNorms(LAYOUT, (0.25 * step, None))
    return StepRecord(step, loss, {"projector": 1e-3}, 0.25 * step, norms, 10, 0.1, input_tokens=12)


def history(steps=0):
    made = History(LAYOUT, {"version": 1, "rules": {"projector": "full"}}, {"steps": 5})
    for step in range(1, steps + 1):
        made.append(record(step))
    return made


def lines(steps=5):
    made = history(steps)
    return [header_line(made, 2), *(record_line(r) for r in made), end_line(made, "finished", None)]


def test_lines_give_back_the_history_number_for_number():
    made = history()
    for r in (record(1, math.nan), replace(record(2, math.inf), problem="not taken"), record(3, 0.1 + 0.2)):
        made.append(r)
    read = History(NormLayout((), (), ()))
    HistoryLines(read).feed(header_line(made, 1) + b"".join(map(record_line, made)))
    assert read.to_json() == made.to_json()
    assert [r.grad_norms.norms for r in read] == [r.grad_norms.norms for r in made]


@pytest.mark.parametrize("seed", range(20))
def test_wherever_the_file_is_cut_each_whole_line_is_read_once(seed):
    data, draw = b"".join(lines(40)), random.Random(seed)
    read, seen = History(NormLayout((), (), ())), []
    read.subscribe(lambda: seen.append(read[-1].step))
    feeder = HistoryLines(read)
    cut = draw.randrange(len(data))
    at = 0
    while at < cut:
        step = draw.choice([1, 7, 200, 5000])
        feeder.feed(data[at : min(cut, at + step)])
        at += step
    whole = max(0, data[:cut].count(b"\n") - 1)
    assert seen == list(range(1, min(whole, 40) + 1))


def test_a_whole_line_that_makes_no_sense_is_not_passed_over():
    read = History(NormLayout((), (), ()))
    with pytest.raises(BadState, match="Line 2"):
        HistoryLines(read).feed(header_line(history(), 1) + b'{"kind":"step"}\n')
    later = json.loads(header_line(history(), 1)) | {"version": 2}
    with pytest.raises(BadState, match="version 2"):
        HistoryLines(read).feed(json.dumps(later).encode() + b"\n")


def test_a_follower_that_was_there_first_sees_every_step_exactly_once_and_ends_with_the_run(tmp_path):
    seen = []
    with follow(tmp_path / "run") as followed:
        followed.subscribe(lambda: seen.append((len(followed), followed.run.phase)))
        assert followed.run.phase == "waiting"
        folder, made = RunFolder(tmp_path / "run", 30, 2), history()
        folder.open()
        folder.begin(made)
        folder.show(phase="running")
        for step in range(1, 31):
            made.append(record(step))
            folder.add(made[-1])
            time.sleep(0.02)
        until(lambda: followed.run.phase == "running")
        assert followed.settings["steps"] == 5
        folder.end(made, "finished", None)
        folder.show(phase="finished", step=30)
        assert followed.wait(120).phase == "finished"
        assert [r.step for r in followed] == list(range(1, 31))
        assert followed.to_json() == made.to_json()
        counts = [n for n, _ in seen]
        assert counts == sorted(counts)
        assert set(range(1, 31)) <= set(counts)
        assert seen[-1] == (30, "finished")
        until(lambda: not any(t.name == "vlmfreeze-follow" for t in threading.enumerate()))


def test_a_run_that_ended_is_read_at_once_without_a_thread(tmp_path):
    folder, made = RunFolder(tmp_path, 5), history(5)
    folder.open()
    folder.begin(made)
    for r in made:
        folder.add(r)
    folder.end(made, "stopped", "stopped")
    folder.show(phase="stopped", message="stopped")
    followed = follow(tmp_path)
    assert (len(followed), followed.run.phase, followed.run.message) == (5, "stopped", "stopped")
    assert followed._thread is None


def test_a_follower_that_nobody_holds_is_let_go_with_its_thread(tmp_path):
    def threads():
        return [t for t in threading.enumerate() if t.name == "vlmfreeze-follow"]

    followed = follow(tmp_path)
    assert len(threads()) == 1
    del followed
    gc.collect()
    until(lambda: not threads())


def test_close_ends_the_thread_and_keeps_what_was_read(tmp_path):
    folder = RunFolder(tmp_path, 5)
    folder.open()
    folder.begin(history())
    folder.add(record(1))
    followed = follow(tmp_path)
    followed.close()
    folder.add(record(2))
    time.sleep(0.4)
    assert len(followed) == 1


def test_a_run_whose_process_is_gone_is_failed_with_a_remedy_and_keeps_its_whole_lines(tmp_path):
    program = (
        "import sys, time\n"
        "from tests.launch.test_follow import *\n"
        "folder = RunFolder(sys.argv[1], 5); folder.open(); folder.begin(history()); folder.show(phase='running')\n"
        "[folder.add(record(i)) for i in (1, 2)]\n"
        "folder._append(record_line(record(3))[:-9])\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "ready\n"
        followed = follow(tmp_path)
        time.sleep(0.6)
        assert followed.run.phase == "running"  # the process lives
        child.kill()
        state = followed.wait(120)  # also while nobody has waited for it: a zombie is gone too
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert state.phase == "failed"
    assert set(state.error) >= {"message", "expected", "found", "remedy"}
    assert str(child.pid) in state.error["expected"]
    assert [r.step for r in followed] == [1, 2]
    assert follow(tmp_path).wait(120).phase == "failed"


def test_a_later_process_with_the_same_number_is_not_taken_for_the_run(tmp_path):
    folder = RunFolder(tmp_path, 5)
    folder.open()
    assert not is_gone(folder.state)
    assert is_gone(replace(folder.state, born="1"))
    assert not is_gone(replace(folder.state, born=None))
    assert not is_gone(replace(folder.state, host="another", pid=2**22 - 1))
    assert not is_gone(replace(folder.state, pid=os.getppid(), born=None))


def test_a_folder_with_a_run_in_it_is_left_alone(tmp_path):
    folder = RunFolder(tmp_path, 5)
    folder.open()
    RunFolder(tmp_path, 5).open()  # nothing was trained yet
    folder.begin(history())
    before = (tmp_path / "history.jsonl").read_bytes()
    with pytest.raises(CannotSave, match="already"):
        RunFolder(tmp_path, 5).open()
    assert (tmp_path / "history.jsonl").read_bytes() == before


def test_the_first_failure_stays(tmp_path):
    folder, other = RunFolder(tmp_path, 5), RunFolder(tmp_path, 5)
    folder.open()
    other.fail({"message": "the cause"})
    folder.fail({"message": "a consequence"})
    assert read_state(tmp_path).error == {"message": "the cause"}


def test_a_reader_never_finds_half_a_status(tmp_path):
    folder = RunFolder(tmp_path, 5)
    folder.open()
    done, phases = threading.Event(), set()

    def look():
        while not done.is_set():
            phases.add(read_state(tmp_path).phase)

    reader = threading.Thread(target=look)
    reader.start()
    for step in range(300):
        folder.show(phase="running", step=step, message="x" * (step * 40))
    done.set()
    reader.join()
    assert phases <= {"preparing", "running"}
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"phase": 4}', '{"phase": "finished", "newer": 1}'])
def test_a_strange_status_file_harms_nobody(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    with follow(tmp_path) as followed:
        assert followed.run.phase in ("waiting", "finished")
