"""A launched run from outside: the command, its end by a stop, an error or a kill, and that no process outlives it."""

import json
import os
import signal
import sys

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from tests.launch.processes import finished, left_of, started, status
from tests.tiny import batch, batches, tiny_llava
from tests.waiting import until
from vlmfreeze_widgets import follow, write_recipe
from vlmfreeze_widgets.cli import app
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder
from vlmfreeze_widgets.launch import command
from vlmfreeze_widgets.launch.command import launch_command

STRATEGY = {"projector": "full"}
slow = [pytest.mark.launch, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    tiny_llava().save_pretrained(made)
    return made


def cli(*arguments):
    return [sys.executable, "-m", "vlmfreeze_widgets", *map(str, arguments)]


class TestEnds:
    pytestmark = slow

    def test_the_command_trains_on_two_processes_tells_its_steps_and_leaves_none_behind(
        self, tmp_path, model_folder, forks
    ):
        recipe = write_recipe(tmp_path / "r", model_folder, STRATEGY, batches(3), steps=4, lr=1e-3)
        code = finished(cli("launch", recipe, "--processes", 2, "--cpu", "--fsdp"), tmp_path / "log")
        told = (tmp_path / "log").read_text()
        assert code == 0, told[-3000:]
        assert "step 4/4  loss" in told
        followed = follow(tmp_path / "r" / "run")
        assert (len(followed), followed.run.phase, followed.run.processes) == (4, "finished", 2)
        assert load_file(tmp_path / "r" / "run" / "result" / "trained.safetensors")
        # The folder is taken now: the second run changes nothing and says so.
        before = (tmp_path / "r" / "run" / "history.jsonl").read_bytes()
        assert forks.start([str(recipe), "--cpu"], tmp_path / "log2").wait() == 1
        assert "holds a run already" in (tmp_path / "log2").read_text()
        assert (tmp_path / "r" / "run" / "history.jsonl").read_bytes() == before
        assert status(tmp_path / "r" / "run")["phase"] == "finished"

    def test_a_killed_run_is_told_keeps_all_whole_lines_and_takes_its_processes_along(self, tmp_path, model_folder):
        recipe = write_recipe(tmp_path / "r", model_folder, STRATEGY, batches(3), steps=100_000)
        with started(cli("launch", recipe, "--processes", 2, "--cpu"), tmp_path / "log") as child:
            followed = follow(tmp_path / "r" / "run")
            until(lambda: len(followed) >= 5)
            assert followed.run.pid not in (os.getpid(), child.pid)
            assert len(left_of(child, 0)) == 4  # the command, accelerate and two that train
            os.kill(followed.run.pid, signal.SIGKILL)
            state = followed.wait(120)
            assert child.wait(120) != 0
            assert left_of(child) == []
        assert state.phase == "failed"
        assert state.error["remedy"]
        whole = (tmp_path / "r" / "run" / "history.jsonl").read_bytes().count(b"\n") - 1
        assert [r.step for r in followed] == list(range(1, whole + 1))

    def test_a_batch_that_one_process_cannot_compute_is_told_as_the_cause(self, tmp_path, model_folder, forks):
        bad = batch(1)
        bad["pixel_values"] = bad["pixel_values"][:, :2]  # the second micro-batch: the second process has it
        recipe = write_recipe(tmp_path / "r", model_folder, STRATEGY, [batch(), bad], steps=4)
        ranks = forks.group(2, [str(recipe), "--cpu"], tmp_path / "log")
        assert [rank.wait() for rank in ranks] == [1, 1]  # also the one that was well, and waited for the other's sum
        assert "  remedy  " in (tmp_path / "log").read_text()
        told = status(tmp_path / "r" / "run")
        assert told["phase"] == "failed"
        assert told["error"]["traceback"]
        assert "channel" in json.dumps(told["error"])
        assert follow(tmp_path / "r" / "run").run.error["remedy"]

    @pytest.mark.parametrize("way", ["follower", "SIGTERM"])
    def test_a_run_that_is_asked_to_stop_saves_what_it_has(self, tmp_path, model_folder, forks, way):
        recipe = write_recipe(tmp_path / "r", model_folder, STRATEGY, batches(3), steps=100_000)
        child = forks.start([str(recipe), "--cpu"], tmp_path / "log")
        with follow(tmp_path / "r" / "run") as followed:
            until(lambda: len(followed) >= 3)
            if way == "follower":
                followed.stop()
            else:
                os.kill(child.pid, signal.SIGTERM)
            assert followed.wait(120).phase == "stopped"
            assert child.wait(120) == 0
        assert load_file(tmp_path / "r" / "run" / "result" / "trained.safetensors")
        verdicts = json.loads((tmp_path / "r" / "run" / "result" / "verdicts.json").read_text())
        assert verdicts["stopped_early"] == "stopped"

    def test_ctrl_c_on_the_command_stops_it_in_good_order(self, tmp_path, model_folder):
        recipe = write_recipe(tmp_path / "r", model_folder, STRATEGY, batches(3), steps=100_000)
        with started(cli("launch", recipe, "--cpu"), tmp_path / "log") as child:
            followed = follow(tmp_path / "r" / "run")
            until(lambda: len(followed) >= 3)
            child.send_signal(signal.SIGINT)
            assert child.wait(120) == 0
        assert followed.wait(120).phase == "stopped"

    def test_numbers_that_are_not_finite_end_the_run_and_save_the_step_before(self, tmp_path, model_folder, forks):
        bad = batch(1)
        bad["pixel_values"][0, 0, 0, 0] = float("nan")
        recipe = write_recipe(tmp_path / "r", model_folder, STRATEGY, [batch(), bad], steps=4)
        assert forks.start([str(recipe), "--cpu"], tmp_path / "log").wait() == 1
        followed = follow(tmp_path / "r" / "run")
        assert followed.run.phase == "failed"
        assert "pixel_values of micro-batch 1" in followed.run.error["found"]
        assert [r.taken for r in followed] == [True, False]
        saved = load_file(tmp_path / "r" / "run" / "result" / "trained.safetensors")
        assert all(t.isfinite().all() for t in saved.values())

    @pytest.mark.parametrize(
        ("arguments", "changes", "code"),
        [
            (["--fsdp"], {}, "invalid-strategy"),  # one process
            ([], {"strategy": {"rules": {"projectr": "full"}}}, "unknown-target"),
            ([], {"batches": "nowhere"}, "bad-batch"),
            ([], {"model": "no-such/model"}, "bad-source"),
        ],
    )
    def test_what_cannot_run_is_told_in_three_parts(self, tmp_path, model_folder, forks, arguments, changes, code):
        path = write_recipe(tmp_path / "r", model_folder, STRATEGY, batches(1), steps=1)
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        assert forks.start([str(path), "--cpu", *arguments], tmp_path / "log").wait() == 1
        told = status(tmp_path / "r" / "run")
        assert (told["phase"], told["error"]["code"]) == ("failed", code)
        assert "remedy" in (tmp_path / "log").read_text()


def test_accelerate_gets_a_rank_for_each_process_and_a_free_port():
    arguments, more = launch_command("r.json", 3, cpu=True, fsdp=True)
    assert arguments[1:3] == ["-m", "accelerate.commands.launch"]
    assert ("--multi_gpu" in arguments, arguments[arguments.index("--main_process_port") + 1]) == (True, "0")
    assert arguments[-4:] == ["vlmfreeze_widgets.launch", "r.json", "--cpu", "--fsdp"]
    assert more == {"ACCELERATE_USE_CPU": "true"}
    assert "--multi_gpu" not in launch_command("r.json")[0]
    assert launch_command("r.json")[1] == {}


def test_the_command_line_passes_on_what_was_asked(tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path / "r", "demo", STRATEGY, batches(1), steps=1)
    asked = []
    monkeypatch.setattr(command, "launch", lambda *a: asked.append(a) or 5)
    told = CliRunner().invoke(app, ["launch", str(recipe), "--processes", "4", "--fsdp"])
    assert told.exit_code == 5
    assert asked == [(recipe, str(tmp_path / "r" / "run"), 4, False, True)]
    recipe.write_text("{}")
    told = CliRunner().invoke(app, ["launch", str(recipe)])
    assert told.exit_code == 1
    assert "remedy" in told.output


def test_the_command_says_the_cause_again_below_what_torchrun_prints(tmp_path, monkeypatch):
    recipe = write_recipe(tmp_path / "r", "demo", STRATEGY, batches(1), steps=1)
    cause = {"message": "The cause.", "expected": "this", "found": "that", "remedy": "Do so."}

    def failing(_recipe, output, *_):
        folder = RunFolder(output, 1, 2)
        folder.open()
        folder.fail(cause)
        print("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ...", flush=True)
        return 1

    monkeypatch.setattr(command, "launch", failing)
    told = CliRunner().invoke(app, ["launch", str(recipe), "--processes", "2"])
    assert told.exit_code == 1
    last = told.output.partition("ChildFailedError")[2]
    assert all(text in last for text in (*cause.values(), "remedy"))


def test_accelerates_own_cpu_flag_is_refused_since_it_starts_one_process(monkeypatch):
    from vlmfreeze_widgets.adapters.accelerate_processes import Processes
    from vlmfreeze_widgets.core.errors import InvalidStrategy

    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InvalidStrategy, match="single process"):
        Processes()
