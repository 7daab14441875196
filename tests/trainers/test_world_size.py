"""The exported script stops where other processes take part than it was written or launched for."""

from __future__ import annotations

import runpy
from types import SimpleNamespace

import psutil
import pytest

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    vf.export({"projector": "full"}, vf.read_tree(tiny_llava()), "trainer", folder=folder, processes=2)
    return runpy.run_path(str(folder / "train.py"))


def launched(monkeypatch, *words):
    monkeypatch.setattr(
        psutil, "Process", lambda: SimpleNamespace(parent=lambda: SimpleNamespace(cmdline=lambda: list(words)))
    )


def check(script, world, processes=None):
    script["check_world"](SimpleNamespace(processes=processes, accumulation=4), SimpleNamespace(world_size=world), 2)


LAUNCH = (
    "python",
    "/usr/bin/accelerate",
    "launch",
    "--cpu",
    "--num_processes",
    "2",
    "train.py",
    "--num_processes",
    "7",
)


def test_one_process_where_two_were_asked_for_stops_and_says_what_a_step_would_have(script, monkeypatch):
    launched(monkeypatch, *LAUNCH)
    with pytest.raises(SystemExit, match="accelerate launch was asked for 2: a step would have 8 rows instead of 16"):
        check(script, 1)


def test_what_was_asked_for_goes_on_and_is_said(script, monkeypatch, capsys):
    launched(monkeypatch, *LAUNCH)
    check(script, 2)
    assert "16 rows a step" in capsys.readouterr().out
    launched(monkeypatch, "bash")
    check(script, 1)


def test_the_number_that_the_run_was_written_for_is_checked_without_a_launcher_too(script, monkeypatch):
    launched(monkeypatch, "bash")
    with pytest.raises(SystemExit, match="this run was written for 2"):
        check(script, 1, processes=2)
    check(script, 2, processes=2)


def test_a_config_file_says_it_as_well(script, monkeypatch, tmp_path):
    (tmp_path / "ddp.yaml").write_text("num_processes: 8\n")
    launched(
        monkeypatch, "python", "-m", "accelerate.commands.launch", f"--config_file={tmp_path / 'ddp.yaml'}", "train.py"
    )
    assert script["launched_for"]() == 8
    launched(monkeypatch, "python", "-m", "accelerate.commands.launch", "train.py")
    assert script["launched_for"]() is None
