"""What a burst writes as it goes is there afterwards, whatever became of its process; it is read, listed and compared."""

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiers import THOROUGH
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import BadState, CannotSave, InvalidStrategy, MissingLibrary
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[3]
RULES = {"projector": "full", "language_model": vf.Lora(rank=2)}


def burst(folder, model=None, **changes):
    wanted = {"steps": 4, "lr": 1e-3, "eval_batches": batches(1), **changes}
    return vf.Burst(model or tiny_llava(), RULES, wanted.pop("batches", None) or batches(), run_folder=folder, **wanted)


def test_a_burst_that_was_recorded_is_read_number_for_number(tmp_path):
    texts = [{**batch(9)}]
    texts[0].pop("pixel_values")
    ids = texts[0]["input_ids"]
    ids[ids == 63] = 1
    made = burst(tmp_path, retention_batches=texts)
    result = made.run()
    run = vf.load_run(made.recording.folder)
    assert run.history.to_json() == result.history.to_json()
    assert run.verdicts == result.verdicts
    assert run.proof["frozen"] == result.proof.frozen
    assert run.state.phase == "finished"
    assert run.strategy == made.plan.strategy
    assert vf.BurstSettings.from_dict(run.settings) == made.settings


def test_the_folder_says_with_what_on_what_and_from_which_weights(tmp_path):
    made = burst(tmp_path)
    result = made.run()
    run = vf.load_run(made.recording.folder)
    assert run.versions["torch"] and run.versions["python"]
    assert run.about.model["trainable_params"] == made.plan.trainable_params
    assert run.about.cost["peak_bytes"] > 0
    assert run.frozen == result.proof.digests
    assert len(run.data["sha256"]) == 64
    assert run.data["rows"] == 2
    assert set(run.words) == {1, 2, 3, 4}
    assert run.page["tree_state"]["title"] == made.plan.tree.title


def test_recording_moves_no_number_and_leaves_the_model_as_it_was(tmp_path):
    model = tiny_llava(dropout=0.1)
    before = fingerprint(model)
    plain = burst(False, model).run().history
    recorded = burst(tmp_path, model).run().history
    assert [r.loss for r in recorded] == [r.loss for r in plain]
    assert fingerprint(model) == before


def test_nothing_is_written_unless_a_folder_is_given_or_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    burst(None).run()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("VLMFREEZE_RUNS", str(tmp_path / "named"))
    burst(False).run()
    assert not (tmp_path / "named").exists()
    burst(None).run()
    assert len(vf.list_runs(tmp_path / "named")) == 1


def test_a_probe_and_a_search_record_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMFREEZE_RUNS", str(tmp_path / "named"))
    vf.probe(tiny_llava(), RULES, batches())
    assert not (tmp_path / "named").exists()


def test_the_bursts_of_a_comparison_are_recorded_too_though_they_take_turns(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMFREEZE_RUNS", str(tmp_path))
    both = {"one": vf.Strategy({"projector": "full"}, 1e-3), "two": vf.Strategy({"head": "full"}, 1e-3)}
    vf.Comparison(tiny_llava(), both, batches(), eval_batches=batches(1), steps=4, seeds=1, turn=1).run()
    listed = vf.list_runs(tmp_path)
    assert [len(run.history) for run in listed] == [4, 4]
    assert [run.state.phase for run in listed] == ["finished", "finished"]
    assert {tuple(run.strategy.rules) for run in listed} == {("projector",), ("head",)}


def test_a_burst_that_was_left_is_told_as_stopped_and_one_that_failed_as_failed(tmp_path):
    left = burst(tmp_path)
    next(left)
    left.close()
    assert vf.load_run(left.recording.folder).state.phase == "stopped"

    def broken():
        yield batch()
        raise RuntimeError("the disk with the pictures is gone")

    failing = burst(tmp_path, batches=broken())
    with pytest.raises(RuntimeError):
        failing.run()
    run = vf.load_run(failing.recording.folder)
    assert run.state.phase == "failed"
    assert "pictures" in run.state.message
    assert len(run.history) == 1


def test_a_burst_that_goes_on_has_the_steps_from_before_in_its_folder(tmp_path):
    first = burst(tmp_path / "runs", steps=6)
    for _ in range(3):
        next(first)
    first.save_state(tmp_path / "states")
    first.close()
    second = vf.Burst.resume(
        tmp_path / "states", tiny_llava(), batches(), eval_batches=batches(1), run_folder=tmp_path / "runs"
    )
    result = second.run()
    run = vf.load_run(second.recording.folder)
    assert run.about.resumed_at == 3
    assert [r.loss for r in run.history] == [r.loss for r in result.history]
    assert len(run.history) == 6


def test_a_disk_that_is_full_at_the_start_is_told_before_a_step_and_later_ends_no_burst(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    model = tiny_llava()
    before = fingerprint(model)
    with pytest.raises(CannotSave):
        burst(tmp_path / "file" / "below", model).run()
    assert fingerprint(model) == before

    made, real = burst(tmp_path / "runs"), os.write
    next(made)

    def full(handle, data):
        if b'"kind": "step"' in bytes(data):
            raise OSError(28, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(os, "write", full)
    result = made.run()
    assert len(result.history) == 4
    assert any("incomplete from step 2" in note for note in result.history.notes)
    assert len(vf.load_run(made.recording.folder).history) == 1


def test_a_torn_last_line_costs_that_line_only(tmp_path):
    made = burst(tmp_path)
    made.run()
    path = made.recording.folder / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    at = max(i for i, line in enumerate(lines) if b'"kind": "step"' in line)
    path.write_bytes(b"".join(lines[:at]) + lines[at][:-20])
    assert [r.step for r in vf.load_run(made.recording.folder).history] == [1, 2, 3]


def test_a_folder_that_was_changed_is_not_listed_and_says_why_it_does_not_load(tmp_path):
    kept, spoilt = burst(tmp_path), burst(tmp_path)
    kept.run(), spoilt.run()
    about = spoilt.recording.folder / "about.json"
    about.write_text(about.read_text().replace("56896", "56897"))
    assert [run.name for run in vf.list_runs(tmp_path)] == [kept.recording.folder.name]
    with pytest.raises(BadState):
        vf.load_run(spoilt.recording.folder)
    with pytest.raises(BadState, match="no run here"):
        vf.load_run(tmp_path / "nowhere")


def test_saved_results_and_launched_runs_are_runs_too(tmp_path):
    result = burst(False).run()
    result.save(tmp_path / "result-1")
    launched = RunFolder(tmp_path / "launched", 4, processes=2)
    launched.open()
    launched.begin(vf.History(result.history.layout, result.history.strategy, result.history.settings))
    for record in result.history:
        launched.add(record)
    launched.end(result.history, "finished", None)
    launched.show(phase="finished")
    listed = {run.name: run for run in vf.list_runs(tmp_path)}
    assert set(listed) == {"result-1", "launched"}
    losses = [r.loss for r in result.history]
    assert all([r.loss for r in run.history] == losses for run in listed.values())
    assert all(run.state.phase == "finished" for run in listed.values())
    assert [v.text for v in listed["result-1"].verdicts] == [v.text for v in result.verdicts]


def test_runs_are_a_table_and_without_pandas_the_error_says_what_does_without(tmp_path, monkeypatch):
    burst(tmp_path).run()
    burst(tmp_path, lr=2e-3, seed=1).run()
    table = vf.runs(tmp_path)
    assert list(table["seed"]) == [0, 1]
    assert (table["phase"] == "finished").all()
    assert table["began"].is_monotonic_increasing
    (tmp_path / "empty").mkdir()
    assert len(vf.runs(tmp_path / "empty")) == 0
    with pytest.raises(BadState, match="no folder of runs"):  # a misspelt name is not an empty answer
        vf.runs(tmp_path / "nothing")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError("No module named 'pandas'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingLibrary) as told:
        vf.runs(tmp_path)
    assert "list_runs" in told.value.remedy


def test_a_difference_names_component_setting_data_and_the_step_where_the_curves_part(tmp_path):
    model = tiny_llava()
    made = [
        burst(tmp_path, model),
        burst(tmp_path, model),
        vf.Burst(model, {"projector": "full"}, batches(), lr=2e-3, steps=6, seed=1, run_folder=tmp_path),
        burst(tmp_path, model, batches=[batch(0), batch(7), batch(2)]),
    ]
    for one in made:
        one.run()
    first, same, other, data = (vf.load_run(one.recording.folder) for one in made)
    alike = first.diff(same)
    assert not alike.strategy and not alike.settings and not alike.versions and not alike.model
    assert alike.same_until == 4 and alike.same_data
    apart = first.diff(other)
    assert apart.components["language_model"]["tuning"][1] is None
    assert apart.components[""]["lr"] == (1e-3, 2e-3)
    assert apart.settings == {"steps": (4, 6), "seed": (0, 1)}
    assert apart.same_until < 4 and len(apart.curves) == 4
    assert json.loads(json.dumps(apart.to_dict()))["settings"]["steps"] == [4, 6]
    moved = first.diff(data)
    assert moved.data_apart_at == 2 and moved.same_data is False and moved.same_until == 1
    assert "other words from step 2 on" in str(moved)


def test_a_tracker_is_told_each_step_and_one_that_fails_ends_no_burst():
    class Mine:
        name = "mine"

        def __init__(self, fails_at=0):
            self.told, self.fails_at = [], fails_at

        def begin(self, about):
            self.told.append(about.sentence)

        def log(self, step, numbers):
            if step == self.fails_at:
                raise ConnectionError("the server is away")
            self.told.append((step, numbers["train/loss"]))

        def end(self, phase, verdicts):
            self.told.append((phase, len(verdicts)))

    well, ill = Mine(), Mine(fails_at=2)
    result = burst(False, report_to=[well, ill]).run()
    assert well.told[1:-1] == [(r.step, r.loss) for r in result.history]
    assert well.told[-1] == ("finished", len(result.verdicts))
    assert len(ill.told) == 2
    assert any("the server is away" in note for note in result.history.notes)
    with pytest.raises(InvalidStrategy):
        burst(False, report_to="excel")


def killed(folder, kills, seed, way="as it is"):
    """Kills bursts in another process; (what was said, what loads) of every run."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.burst.killed_bursts", str(folder), str(kills), str(seed), way],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == kills
    found = []
    for line in lines:
        listed = {run.name: run for run in vf.list_runs(line["folder"])}
        for name, said in line["said"].items():
            found.append((said, len(listed[name].history) if name in listed else -1, listed.get(name)))
    return found


KILLS = int(os.environ.get("VLMFREEZE_KILLS", "6"))  # 50 were tried when this was written


def test_whenever_the_kernel_is_killed_every_run_that_is_listed_loads_and_no_step_that_was_shown_is_missing(tmp_path):
    reference = [r.loss for r in burst(False, steps=12, eval_batches=None).run().history]
    found = killed(tmp_path, KILLS, seed=5)
    assert len(found) >= KILLS // 2, "most kills came before the first step"
    assert all(said <= loaded <= said + 1 for said, loaded, _ in found)
    for _, loaded, run in found:
        assert [r.loss for r in run.history] == reference[:loaded]
    broken_off = [run for said, _, run in found if said < 12]
    assert broken_off
    assert all(
        run.state.phase == "failed" and "gone without a word" in run.state.error["message"] for run in broken_off
    )


def test_a_writer_that_keeps_lines_in_a_buffer_is_found_by_the_same_kills(tmp_path):
    found = killed(tmp_path, 8 if THOROUGH else 4, seed=6, way="buffered")
    assert any(loaded < said for said, loaded, _ in found)
