"""Trackers are told what they would be told by hand; their libraries are stood in for, since none is ever installed by force."""

import builtins
import importlib
import json
import sys
import types

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.adapters.tensorboard_runs import TensorboardRuns
from vlmfreeze_widgets.core.errors import InvalidStrategy


def burst(**changes):
    return vf.Burst(
        tiny_llava(),
        {"projector": "full"},
        batches(),
        steps=3,
        lr=1e-3,
        eval_batches=batches(1),
        run_folder=False,
        **changes,
    )


class Calls(types.ModuleType):
    """A module that takes down whatever is called on it."""

    def __init__(self, name):
        super().__init__(name)
        self.calls = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "summary":
            return self
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs)) or self

    def named(self, name):
        return [call for call in self.calls if call[0] == name]


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_tracker_with_runs_gets_config_every_step_and_the_end(name, monkeypatch):
    library = Calls(name)
    monkeypatch.setitem(sys.modules, name, library)
    result = burst(report_to=name).run()
    ((_, _, began),) = library.named("init")
    config = json.loads(json.dumps(began["config"]))
    assert config["settings"]["steps"] == 3
    assert "process" not in config
    steps = [call for call in library.named("log") if "step" in call[2]]
    assert [call[2]["step"] for call in steps] == [1, 2, 3]
    for (_, (numbers,), _), record in zip(steps, result.history, strict=True):
        assert numbers["train/loss"] == record.loss
        assert numbers["lr/projector"] == record.lr["projector"]
        assert numbers["grad_norm/projector"] == record.component_norms["projector"]
    assert len(library.named("finish")) == 1
    if name == "wandb":
        ((_, (summary,), _),) = library.named("update")
        assert summary["verdict/projector"].startswith("ok: ")


def test_events_of_tensorboard_lie_in_a_folder_per_run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    writer = Calls("writer")
    tracker = TensorboardRuns(lambda **kwargs: writer.calls.append(("make", (), kwargs)) or writer)
    result = burst(report_to=tracker).run()
    ((_, _, made),) = writer.named("make")
    assert made["log_dir"].startswith("runs/run-") or made["log_dir"].startswith("runs\\run-")
    losses = [args for _, args, _ in writer.named("add_scalar") if args[0] == "train/loss"]
    assert losses == [("train/loss", r.loss, r.step) for r in result.history]
    assert "projector" in writer.named("add_text")[-1][1][1]
    assert len(writer.named("close")) == 1


@pytest.mark.parametrize("name", ["wandb", "trackio", "tensorboard"])
def test_a_library_that_is_not_installed_is_named_before_anything_runs(name, monkeypatch):
    real = builtins.__import__

    def without(asked, *args, **kwargs):
        if asked.split(".")[0] == name or asked == "torch.utils.tensorboard":
            raise ImportError(f"No module named {name!r}")
        return real(asked, *args, **kwargs)

    importlib.import_module(f"vlmfreeze_widgets.adapters.{name}_runs")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidStrategy) as told:
        burst(report_to=name)
    assert f"pip install {name}" in told.value.remedy


def test_numbers_that_are_not_finite_are_not_sent():
    class Mine:
        name, told = "mine", []

        def begin(self, about):
            pass

        def log(self, step, numbers):
            self.told.append(numbers)

        def end(self, phase, verdicts):
            self.told.append(phase)

    bad = batches(2)
    bad[1]["pixel_values"] = bad[1]["pixel_values"] * float("inf")
    made = vf.Burst(tiny_llava(), {"projector": "full"}, bad, steps=3, lr=1e-3, run_folder=False, report_to=Mine())
    for _ in made:
        pass
    made.result()
    assert "train/loss" in Mine.told[0] and "train/loss" not in Mine.told[1]
    assert Mine.told[-1] == "failed"
