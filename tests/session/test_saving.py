"""A session's burst on the disk and back: saved while it runs or is paused, gone on with elsewhere, nothing written unasked."""

import json
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from tests.waiting import until
from vlmfreeze_widgets.core.errors import BadState, WrongPhase
from vlmfreeze_widgets.session import Session


def made(folder):
    session = Session(tiny_llava(dropout=0.1), batches(), run_folder=folder)
    session.set_tuning(["language_model"], "lora")
    return session


@pytest.fixture
def session(tmp_path):
    session = made(tmp_path / "runs")
    yield session
    session.close()


def paused_and_saved(session):
    session.run(100_000)
    until(lambda: len(session.history) >= 3)
    session.pause()
    session.save()
    until(lambda: session.saving.written is not None)
    return len(session.history)


def test_a_paused_burst_is_saved_below_the_run_folder_and_goes_on(session, tmp_path):
    taken = paused_and_saved(session)
    written = session.saving.written
    assert (written.kind, written.step) == ("state", taken)
    assert Path(written.path).is_relative_to(tmp_path / "runs" / "states")
    assert session.phase == "paused"
    session.resume()
    until(lambda: len(session.history) > taken)
    session.stop()
    assert session.wait(120)


def test_another_session_goes_on_with_the_same_numbers(session, tmp_path):
    taken = paused_and_saved(session)
    session.resume()
    until(lambda: len(session.history) >= taken + 4)
    session.stop()
    session.wait(120)
    other = Session(tiny_llava(dropout=0.1), batches(), run_folder=tmp_path / "runs")
    before = fingerprint(other.model)
    other.look_for_states()
    assert other.wait(120)
    (state,) = other.saving.states
    assert (state.step, state.bytes > 1000) == (taken, True)
    other.resume_from(state.name, taken + 4)
    assert other.wait(120)
    assert other.phase == "deciding"
    assert [r.loss for r in other.history] == [r.loss for r in session.history][: taken + 4]
    assert other.strategy.rules == session.strategy.rules
    assert fingerprint(other.model) == before
    other.close()


def test_a_burst_that_is_over_leaves_its_result_in_a_folder_of_its_own(session, tmp_path):
    session.run(2)
    session.wait(120)
    session.save()
    session.wait(120)
    session.save()
    session.wait(120)
    folders = sorted((tmp_path / "runs").glob("result-*"))
    assert len(folders) == 2
    assert session.saving.written.kind == "result"
    assert session.saving.written.path in map(str, folders)
    assert (folders[0] / "adapter_model.safetensors").is_file()


def test_only_states_that_are_listed_are_opened(session, tmp_path):
    paused_and_saved(session)
    session.stop()
    session.wait(120)
    name = Path(session.saving.written.path).name
    with pytest.raises(BadState, match="cannot go on"):
        session.resume_from(name, 100)  # nobody has looked yet
    session.look_for_states()
    session.wait(120)
    for wrong in ("../states/" + name, "/" + name, "", ".."):
        with pytest.raises(BadState, match="list"):
            session.resume_from(wrong, 100)
    with pytest.raises(BadState, match="asked for"):
        session.resume_from(name, 1)


def test_nothing_is_written_unasked_and_nothing_is_saved_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = made(None)
    with pytest.raises(WrongPhase, match="nothing to save"):
        session.save()
    session.run(2)
    session.wait(120)
    session.discard()
    session.wait(120)
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_a_kept_result_is_saved_as_it_was_before_it_was_kept_and_a_discarded_one_is_not(session):
    def saved():
        session.save()
        session.wait(120)
        files = {f.name: f.read_bytes() for f in Path(session.saving.written.path).iterdir()}
        return {**files, "verdicts.json": {**json.loads(files["verdicts.json"]), "saved": "at another time"}}

    session.set_tuning(["projector"], "full")
    for decide in (session.keep, session.discard):
        session.run(2)
        session.wait(120)
        undecided = saved()
        decide()
        session.wait(120)
        if decide == session.keep:
            assert saved() == undecided
    with pytest.raises(WrongPhase, match="nothing to save"):
        session.save()


def test_where_nothing_can_be_written_the_burst_goes_on_and_the_page_says_so(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    session = made(blocked)
    session.run(100_000)
    until(lambda: len(session.history) >= 2)
    session.save()
    until(lambda: session.status.error is not None)
    taken = len(session.history)
    assert "saved" in session.status.error["message"]
    assert not session.saving.waiting
    until(lambda: len(session.history) > taken)
    session.close()


def test_the_control_a_state_of_another_model_does_not_go_on(session, tmp_path):
    taken = paused_and_saved(session)
    session.stop()
    session.wait(120)
    model = tiny_llava(dropout=0.1)
    with torch.no_grad():
        model.lm_head.weight[0, 0] += 1
    other = Session(model, batches(), vf.Strategy({"projector": "full"}), run_folder=tmp_path / "runs")
    other.look_for_states()
    other.wait(120)
    other.resume_from(other.saving.states[0].name, taken + 2)
    other.wait(120)
    assert other.phase == "failed"
    assert "another model" in other.status.error["message"]
    other.close()


def test_a_session_with_a_run_folder_records_every_burst_and_one_without_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, written in ((tmp_path / "runs", 2), (None, 0)):
        session = made(folder)
        for _ in range(2):
            session.run(3)
            assert session.wait(120)
        session.close()
        below = folder or tmp_path / "vlmfreeze-runs"
        assert (len(vf.list_runs(below)) if below.exists() else 0) == written
        assert (session.recorded is not None) == bool(written)
    run = vf.load_run(vf.list_runs(tmp_path / "runs")[-1].folder)
    assert [r.step for r in run.history] == [1, 2, 3]
    assert run.verdicts and run.state.phase == "finished"


def test_a_session_names_its_folder_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMFREEZE_RUNS", str(tmp_path / "named"))
    session = made(None)
    session.run(2)
    assert session.wait(120)
    session.close()
    assert len(vf.list_runs(tmp_path / "named")) == 1
    assert session.saving.folder == str(tmp_path / "named")
