"""The exported script runs by itself, and trains to the same weights as a burst of the same strategy on the same batches."""

from __future__ import annotations

import json
import runpy
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

import vlmfreeze_widgets as vf
from tests.tiers import some
from tests.tiny import batches, tiny_llava
from tests.trainers.script_runs import run_forked

LORA = vf.Lora(rank=4, alpha=8)
STRATEGIES = {
    "projector": vf.Strategy({"projector": "full"}, 1e-2),
    "parts at their own rates": vf.Strategy(
        {"projector": "full", "vision_tower[-2:]": "full", "head": "full"}, {"": 1e-3, "projector": 1e-2}, 0.1
    ),
    "LoRA beside full parts": vf.Strategy({"projector": "full", "language_model": LORA}, {"": 5e-3, "projector": 1e-2}),
}


@pytest.fixture
def folders(tmp_path):
    tiny_llava().save_pretrained(tmp_path / "model")
    (tmp_path / "batches").mkdir()
    for i, batch in enumerate(batches(8)):
        save_file(batch, tmp_path / "batches" / f"{i}.safetensors")
    return tmp_path


def trained_by_script(strategy, folder, tree, forks):
    vf.export(strategy, tree, "trainer", folder=folder / "export", strict=True, use_cpu=True, disable_tqdm=True)
    given = (
        "--model",
        "../model",
        "--batches",
        "../batches",
        "--output",
        "../out",
        "--steps",
        "4",
        "--accumulation",
        "2",
    )
    run_forked(forks, folder, *given)
    found = {}
    for file in (folder / "out").glob("*.safetensors"):
        found.update(load_file(file))
    return {short(name): value for name, value in found.items()}


def short(name):
    """A tensor's name without what PEFT adds."""
    name = name.removeprefix("base_model.model.").replace(".default", "").replace(".base_layer", "")
    return name.removesuffix(".weight") if ".lora_" in name else name


@pytest.mark.check("N24")
@pytest.mark.parametrize("name", some(list(STRATEGIES), 2))
def test_the_script_trains_to_the_weights_of_a_burst(name, folders, figure, forks):
    model = tiny_llava()
    tree = vf.read_tree(model)
    theirs = trained_by_script(STRATEGIES[name], folders, tree, forks)
    result = vf.Burst(model, STRATEGIES[name], batches(8), steps=4, accumulation=2).run()
    start = {name: value.clone() for name, value in model.named_parameters()}
    result.keep()
    ours = {short(name): value.detach() for name, value in model.named_parameters()}
    plan = vf.resolve(STRATEGIES[name], tree)
    assert set(theirs) == {trained for group in plan.optimizer_groups for trained in group.params}
    worst = max(float((value - ours[trained]).abs().max()) for trained, value in theirs.items())
    figure(worst)
    assert worst < 1e-5
    assert all(not torch.equal(theirs[trained], start[trained]) for trained in plan.trainable - tree.dead_ends)


def tower_outputs(folders, monkeypatch, **replaced):
    """Whether the frozen tower's output carried a graph, at each time that the script's run computed it with recomputation."""
    space = runpy.run_path(str(folders / "export" / "train.py"))
    space["main"].__globals__.update(replaced)
    arguments = [
        "--model",
        str(folders / "model"),
        "--batches",
        str(folders / "batches"),
        "--output",
        str(folders / "out"),
    ]
    monkeypatch.setattr("sys.argv", ["train.py", *arguments, "--steps", "2", "--checkpointing"])
    seen = []

    def look(module, given, out):
        if type(module).__name__ == "CLIPVisionModel":
            seen.append(out.last_hidden_state.requires_grad)

    handle = torch.nn.modules.module.register_module_forward_hook(look)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            space["main"]()
    finally:
        handle.remove()
    return seen


def test_recomputation_in_the_script_leaves_a_frozen_tower_without_a_graph(folders, monkeypatch):
    strategy, tree = STRATEGIES["LoRA beside full parts"], vf.read_tree(tiny_llava())
    vf.export(strategy, tree, "trainer", folder=folders / "export", use_cpu=True, disable_tqdm=True)
    assert tower_outputs(folders, monkeypatch) == [False, False]
    found = json.loads((folders / "out" / "history.json").read_text())
    wanted = vf.Burst(tiny_llava(), strategy, batches(2), steps=2, checkpointing=True).run().history
    assert [entry["loss"] for entry in found] == pytest.approx([r.loss for r in wanted], abs=2e-4)
    control = tower_outputs(folders, monkeypatch, CloseFrozenInputs=TrainerCallback)
    assert control == [True, True], "this transformers opens nothing: the script's callback has nothing to do"


@pytest.mark.check("B17")
def test_the_script_refuses_a_model_that_the_plan_was_not_made_for(folders):
    tree = vf.read_tree(tiny_llava())
    vf.export(STRATEGIES["projector"], tree, "trainer", folder=folders / "export")
    space = runpy.run_path(str(folders / "export" / "train.py"))
    plan = json.loads((folders / "export" / "plan.json").read_text())
    with pytest.raises(SystemExit, match="multi_modal_projector"):
        space["prepare"](torch.nn.Linear(2, 2), plan)


@pytest.mark.check("X13")
def test_names_and_settings_of_strangers_stay_out_of_the_script():
    tree = vf.read_tree(tiny_llava(), title="'; import os; os.system('true') #")
    done = vf.export(STRATEGIES["projector"], tree, "trainer", run_name='"""\nimport os')
    other = vf.export(STRATEGIES["projector"], vf.read_tree(tiny_llava()), "trainer")
    assert done.files["train.py"] == other.files["train.py"]
    assert json.loads(done.files["plan.json"])["arguments"] == {"run_name": '"""\nimport os'}
