"""A launched run takes the engine's own step and evidence: on one process it is a burst, bit for bit, in every number and tensor.

Each way in which the two could come apart has its control: the same run with that part taken out.
"""

import json
from contextlib import contextmanager

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets import Burst, Lora, Strategy, write_recipe
from vlmfreeze_widgets.adapters.accelerate_processes import Processes
from vlmfreeze_widgets.adapters.transformers_weights import load
from vlmfreeze_widgets.engine.batches.micro_batches import MicroBatches
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder
from vlmfreeze_widgets.engine.step import rollback, training_step
from vlmfreeze_widgets.launch.batch_files import read_batches
from vlmfreeze_widgets.launch.recipe import Recipe
from vlmfreeze_widgets.launch.run import Run
from vlmfreeze_widgets.launch.shared_model import SharedModel

DROPPING = Strategy({"projector": "full", "language_model": Lora(rank=4, dropout=0.3)})
PROJECTOR = {"projector": "full"}
CASES = {
    "accumulated-with-dropout": (DROPPING, {"accumulation": 3, "max_grad_norm": 0.1}),
    "tower-sgd-recomputed": (
        {"vision_tower": "full"},
        {"optimizer": "sgd", "checkpointing": True, "scheduler": "cosine"},
    ),
    "half": (DROPPING, {"dtype": "bfloat16"}),
    "half-pure": (PROJECTOR, {"dtype": "bfloat16", "precision": "bf16-pure"}),
    "autocast": (PROJECTOR, {"precision": "bf16-mixed", "accumulation": 2}),
    "cached": (PROJECTOR, {"cache_features": True}),
}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    tiny_llava().cpu().save_pretrained(made)
    return made


@pytest.fixture(autouse=True)
def _accelerate_begins_anew():
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def data(count=6):
    return [{name: value.cpu() for name, value in batch.items()} for batch in batches(count)]


def recipe(folder, model_folder, strategy=PROJECTOR, **settings):
    return Recipe.load(
        write_recipe(folder / "r", model_folder, strategy, data(), **{"lr": 1e-3, "steps": 3, **settings})
    )


def launched(made):
    """The history of a run of one process, in this one."""
    folder = RunFolder(made.output, made.settings.steps, 1)
    folder.open()
    run = Run(made, Processes(cpu=True), folder)
    assert run.go() == "finished"
    return run.history


def burst(model_folder, strategy=PROJECTOR, dtype="auto", **settings):
    model = load(str(model_folder), dtype, device="cpu")
    made = Burst(model, strategy, data(), **{"lr": 1e-3, "steps": 3, **settings})
    made.run()
    return made


def numbers(history):
    """Every number of every step that is not a time."""
    return [(r.loss, r.grad_norm, r.grad_norms.norms, r.lr, r.tokens, r.input_tokens, r.problem) for r in history]


@pytest.mark.parametrize("name", CASES)
def test_a_run_of_one_process_is_a_burst_bit_for_bit(tmp_path, model_folder, name):
    strategy, settings = CASES[name]
    wanted = burst(model_folder, strategy, **settings)
    made = recipe(tmp_path, model_folder, strategy, **settings)
    assert numbers(launched(made)) == numbers(wanted.history)
    saved = tmp_path / "wanted"
    wanted.result().save(saved)
    there = tmp_path / "r" / "run" / "result"
    assert {p.name for p in there.iterdir()} == {p.name for p in saved.iterdir()}
    for file in saved.glob("*.safetensors"):
        tensors, found = load_file(file), load_file(there / file.name)
        assert tensors.keys() == found.keys()
        assert all(torch.equal(value, found[key]) for key, value in tensors.items())
    said, expected = (json.loads((place / "verdicts.json").read_text()) for place in (there, saved))
    assert said["verdicts"] == expected["verdicts"]
    assert {**said["proof"], "seconds": 0} == {**expected["proof"], "seconds": 0}


def test_another_seed_would_be_noticed(tmp_path, model_folder):
    made = recipe(tmp_path, model_folder, DROPPING, seed=1)
    assert numbers(launched(made)) != numbers(burst(model_folder, DROPPING).history)


@pytest.mark.parametrize("way", ["burst", "launched"])
def test_the_losses_of_micro_batches_are_added_up_in_float64(tmp_path, model_folder, monkeypatch, way):
    parts = []
    right = training_step.model_loss

    def seen(model, batch, device):
        loss = right(model, batch, device)
        parts.append((loss.detach(), batch.label_tokens))
        return loss

    monkeypatch.setattr(training_step, "model_loss", seen)
    settings = {"steps": 1, "accumulation": 5}
    history = (
        burst(model_folder, **settings).history
        if way == "burst"
        else launched(recipe(tmp_path, model_folder, **settings))
    )
    tokens = sum(count for _, count in parts)
    shares = [loss * (count / tokens) for loss, count in parts]
    assert history[0].loss == sum(share.item() for share in shares)
    # The control: what a float32 sum would have shown.
    assert history[0].loss != float(sum(shares, torch.zeros(())))


@pytest.mark.parametrize("clears", [True, False], ids=["", "control"])
def test_a_step_computes_with_the_weights_of_now_within_somebodys_autocast(tmp_path, model_folder, monkeypatch, clears):
    """Where another autocast is around it, torch keeps the weights it has cast until that one ends."""
    wanted = numbers(burst(model_folder, precision="bf16-mixed", lr=1e-1).history)
    if not clears:
        monkeypatch.setattr(torch, "clear_autocast_cache", lambda: None)
    with torch.autocast("cpu", torch.bfloat16):
        found = numbers(launched(recipe(tmp_path, model_folder, precision="bf16-mixed", lr=1e-1)))
    assert (found == wanted) is clears


@contextmanager
def model_of(made):
    model = SharedModel(made, Processes(cpu=True), same_inputs=True)
    yield model
    model.trained()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("most", [rollback._MOST["cpu"], 0], ids=["", "control"])
def test_an_update_that_an_error_breaks_off_is_taken_back(tmp_path, model_folder, monkeypatch, dtype, most):
    monkeypatch.setitem(rollback._MOST, "cpu", most)
    made = recipe(tmp_path, model_folder, dtype=dtype)
    source = MicroBatches(read_batches(made.batches))
    with model_of(made) as model:
        model.step(source.take(1), 1, is_last=False)
        training = model.training
        held = [t.parameter for t in training.applied.trainables]
        before = [t.detach().clone() for t in held]
        step = training.optimizer.step

        def half_an_update():
            step()
            raise RuntimeError("in the middle of the update")

        monkeypatch.setattr(training.optimizer, "step", half_an_update)
        with pytest.raises(RuntimeError, match="in the middle"):
            model.step(source.take(1), 2, is_last=False)
        kept = (
            all(torch.equal(a, b) for a, b in zip(training.masters.tensors, before, strict=True)) or dtype != "float32"
        )
        training.masters.give_values()
        assert (kept and all(torch.equal(a, b) for a, b in zip(held, before, strict=True))) is bool(most)
        assert all(t.grad is None for t in (*held, *training.masters.tensors))


def test_a_batch_that_is_not_finite_is_named_whichever_process_has_it(tmp_path, model_folder):
    """With two processes each takes every other micro-batch; the one that writes the message is the first."""
    made = recipe(tmp_path, model_folder)
    spoilt = data(2)
    spoilt[1]["pixel_values"][0, 0, 0, 0] = float("nan")
    with model_of(made) as model:
        step = model.training._step
        shown = training_step.StepResult(float("nan"), (), float("nan"))
        found = step._not_taken(shown, 3, MicroBatches(spoilt).take(2))
    assert "pixel_values of micro-batch 1" in found.problem
    assert "step before" not in found.error.remedy
