"""A session's runs on the disk: recorded from now on, listed, opened, compared, reported on; whatever lies in the folder."""

from __future__ import annotations

import json
import os
import shutil
import struct
import threading
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.core.errors import BadState, CannotSave
from vlmfreeze_widgets.core.wire.runs_state import runs_state
from vlmfreeze_widgets.engine.runs.page_rows import read_run
from vlmfreeze_widgets.session import BurstSettings, Session
from vlmfreeze_widgets.widgets.handlers.runs import _write


@pytest.fixture
def open_session():
    opened = []

    def make(rules=None, **more):
        settings = BurstSettings(steps=more.pop("steps", 3))
        session = Session(
            tiny_llava(), batches(), vf.Strategy(rules or {"projector": "full"}), settings=settings, **more
        )
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.close()


def ran(session, **more):
    session.run(**more)
    assert session.wait(120)


def listed(session):
    session.look_for_runs()
    assert session.wait_for_runs(30)
    return session.run_list.rows


def test_nothing_is_written_until_somebody_wants_runs_recorded(open_session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = open_session(eval_batches=batches(1))
    assert not session.run_list.recording
    ran(session)
    assert list(tmp_path.iterdir()) == []
    session.record_here("runs")
    assert session.run_list.recording
    ran(session)
    ran(session, steps=2)
    assert session.wait_for_runs(30)
    # Whoever has looked once is told of each run when it is over.
    assert [(row.steps, row.phase) for row in session.run_list.rows] == [(2, "finished"), (3, "finished")]
    rows = session.run_list.rows
    assert rows[0].name == session.recorded.name
    assert "projector full" in rows[0].sentence
    assert rows[0].loss == session.history.last.loss
    assert rows[0].eval_loss is not None
    assert rows[0].verdicts[2] == 0 < rows[0].verdicts[0]
    session.record(None)
    ran(session)
    assert len(listed(session)) == 2


@pytest.mark.parametrize("folder", ["..", "../elsewhere", "/tmp/elsewhere", "a/../../b", "."])
def test_a_page_records_below_the_working_folder_only(open_session, tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    session = open_session()
    with pytest.raises(CannotSave):
        session.record_here(folder)
    assert not session.run_list.recording


def test_a_run_is_opened_again_and_its_strategy_taken_over(open_session, tmp_path):
    session = open_session({"projector": "full", "language_model": vf.Lora(rank=2)}, run_folder=tmp_path, steps=4)
    ran(session)
    name = session.recorded.name
    losses = [r.loss for r in session.history]
    wanted = session.strategy
    other = open_session(run_folder=tmp_path)
    other.open_run(name)
    assert other.wait_for_runs(30)
    opened = other.run_list.opened
    values = struct.unpack(f"<{len(opened.points) // 8}d", opened.points)
    assert list(values[1::3]) == losses
    assert ("steps", "4") in opened.settings
    assert {status for _, status, _ in opened.verdicts} == {"ok"}
    other.take_strategy(name)
    assert other.strategy == wanted
    other.undo()
    with pytest.raises(BadState):
        other.take_strategy("another")


def test_two_runs_say_what_differs(open_session, tmp_path):
    session = open_session(run_folder=tmp_path)
    ran(session)
    first = session.recorded.name
    session.set_tuning(["vision_tower"], "full")
    ran(session, steps=2)
    session.compare_runs(first, session.recorded.name)
    assert session.wait_for_runs(30)
    state = runs_state(session.run_list)["compared"]
    assert state["names"] == [first, session.recorded.name]
    assert ["settings", "steps", "3", "2"] in state["differences"]
    assert any(part == "strategy" and name == "vision tower tuning" for part, name, *_ in state["differences"])
    assert [len(points) // 24 for points in state["points"]] == [3, 2]


def test_a_report_lies_beside_the_run_and_writes_over_nothing(open_session, tmp_path):
    session = open_session(run_folder=tmp_path)
    ran(session)
    name = session.recorded.name
    for wanted in (f"{name}.html", f"{name}-2.html"):
        session.report_run(name, _write)
        assert session.wait_for_runs(60)
        assert session.run_list.problem == ""
        assert session.run_list.report == str(tmp_path / wanted)
        assert "<html" in Path(session.run_list.report).read_text(encoding="utf-8")
    assert len(listed(session)) == 1


def hostile(kind, run):
    """Spoils a copy of a run in one way."""
    about, history = run / "about.json", run / "history.jsonl"
    if kind == "pipe":
        (run / "status.json").unlink()
        os.mkfifo(run / "status.json")
    elif kind == "deep":
        (run / "status.json").write_text("[" * 100_000)
    elif kind == "lines":
        history.write_bytes(b"\xff\x00{}\n" + b'{"kind": 3}\n' + history.read_bytes())
    elif kind == "link":
        shutil.rmtree(run)
        run.symlink_to("/etc")
    elif kind == "huge":
        with history.open("r+b") as file:
            file.truncate(1 << 32)
    elif kind == "numbers":
        text = history.read_text().splitlines()
        record = json.loads(text[1])
        history.write_text("\n".join([text[0], json.dumps({**record, "loss": "x" * 5000, "step": -1}), ""]))
        (run / "manifest.json").unlink()
        about.unlink()
    elif kind == "empty":
        history.write_text("")
    elif kind == "markup":
        run.rename(run.with_name("<img src=x onerror=alert(1)>"))
    elif kind == "bytes":
        run.rename(run.with_name(os.fsdecode(b"run-\xff\xfe")))


KINDS = ["pipe", "deep", "lines", "link", "huge", "numbers", "empty", "markup", "bytes"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_a_stranger_holds_nobody_up_and_the_others_are_listed(open_session, tmp_path, kind):
    session = open_session(run_folder=tmp_path)
    ran(session)
    good = session.recorded
    shutil.copytree(good, tmp_path / "odd")
    hostile(kind, tmp_path / "odd")
    rows = listed(session)
    assert good.name in [row.name for row in rows]
    state = runs_state(session.run_list)
    text = json.dumps(state, default=len, ensure_ascii=False)
    text.encode("utf-8")  # as a message goes out
    assert max(len(str(value)) for row in state["rows"] for value in row.values()) <= 300
    for row in rows:
        session.open_run(row.name)
        assert session.wait_for_runs(30)
        session.compare_runs(row.name, good.name)
        assert session.wait_for_runs(30)
    session.open_run(good.name)
    assert session.wait_for_runs(30)
    assert session.run_list.opened.row.name == good.name


def test_without_the_look_before_a_pipe_would_hold_the_reader_up(open_session, tmp_path):
    session = open_session(run_folder=tmp_path)
    ran(session)
    hostile("pipe", session.recorded)
    reader = threading.Thread(target=lambda: vf.load_run(session.recorded), daemon=True)
    reader.start()
    reader.join(0.5)
    assert reader.is_alive()
    (session.recorded / "status.json").write_text("{}")
    reader.join(30)


@pytest.mark.parametrize("name", ["..", ".", "/etc", "a/b", "../x", "\x00", "x" * 5000])
def test_only_a_run_of_the_folder_is_read(open_session, tmp_path, name):
    session = open_session(run_folder=tmp_path / "runs")
    session.open_run(name)
    assert session.wait_for_runs(30)
    assert session.run_list.opened is None
    assert session.run_list.problem


def test_runs_are_read_while_a_burst_goes_on(open_session, tmp_path):
    session = open_session(run_folder=tmp_path, steps=2000)
    session.look_for_runs()
    session.run()
    session.look_for_runs()
    assert session.wait_for_runs(30)
    assert not session.wait(0)
    session.stop()
    assert session.wait(120)


def test_what_has_not_changed_is_not_read_again(open_session, tmp_path, monkeypatch):
    session = open_session(run_folder=tmp_path)
    ran(session)
    first = listed(session)
    from vlmfreeze_widgets.engine.runs import page_rows

    def read(*_):
        raise AssertionError("read again")

    monkeypatch.setattr(page_rows, "load_run", read)
    assert listed(session) == first


def test_a_strategy_is_at_hand_only_while_its_run_is_open(open_session, tmp_path):
    session = open_session(run_folder=tmp_path)
    ran(session)
    name = session.recorded.name
    session.open_run(name)
    assert session.wait_for_runs(30)
    session.take_strategy(name)
    session.open_run("")
    with pytest.raises(BadState):
        session.take_strategy(name)


def test_a_run_that_is_read_while_the_folder_changes_is_not_at_hand(open_session, tmp_path, monkeypatch):
    session = open_session(run_folder=tmp_path / "here")
    ran(session)
    name = session.recorded.name

    def slowly(folder, wanted):
        found = read_run(folder, wanted)
        session.record(tmp_path / "there")
        return found

    monkeypatch.setattr("vlmfreeze_widgets.session.run_browser.read_run", slowly)
    session.open_run(name)
    assert session.wait_for_runs(30)
    assert session.run_list.opened is None
    with pytest.raises(BadState):
        session.take_strategy(name)


def test_a_report_is_not_written_through_a_link_that_leads_nowhere(open_session, tmp_path):
    runs = tmp_path / "runs"
    session = open_session(run_folder=runs)
    ran(session)
    name = session.recorded.name
    (runs / f"{name}.html").symlink_to(tmp_path / "elsewhere.html")
    session.report_run(name, _write)
    assert session.wait_for_runs(60)
    assert session.run_list.report == str(runs / f"{name}-2.html")
    assert not (tmp_path / "elsewhere.html").exists()
