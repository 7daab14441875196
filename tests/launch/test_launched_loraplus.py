"""LoRA+ in a launched run: on one process its groups, losses and tensors are the burst's, bit for bit."""

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.adapters.accelerate_processes import Processes
from vlmfreeze_widgets.adapters.transformers_weights import load
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder
from vlmfreeze_widgets.launch.recipe import Recipe
from vlmfreeze_widgets.launch.run import Run

SETTINGS = {"lr": 1e-3, "steps": 2, "scheduler": "cosine"}


def strategy(ratio):
    rules = {"projector": "full", "language_model": vf.Lora(rank=4, use_dora=True, loraplus_lr_ratio=ratio)}
    return vf.Strategy(rules, {"language_model": 2e-4}, {"language_model": 0.1})


@pytest.fixture
def optimizers(monkeypatch):
    """The groups of each AdamW that is made: rate, decay and elements, as they are before the schedule's first step."""
    made = []

    class Seen(torch.optim.AdamW):
        def __init__(self, groups, **values):
            super().__init__(groups, **values)
            made.append([(g["lr"], g["weight_decay"], [p.numel() for p in g["params"]]) for g in self.param_groups])

    monkeypatch.setattr(torch.optim, "AdamW", Seen)
    AcceleratorState._reset_state(reset_partial_state=True)
    yield made
    AcceleratorState._reset_state(reset_partial_state=True)


def test_its_groups_losses_and_tensors_are_those_of_the_burst(tmp_path, optimizers):
    tiny_llava().cpu().save_pretrained(tmp_path / "model")
    data = [{name: value.cpu() for name, value in batch.items()} for batch in batches(3)]

    def burst(ratio):
        made = vf.Burst(load(str(tmp_path / "model"), "auto", device="cpu"), strategy(ratio), data, **SETTINGS)
        made.run()
        return made

    recipe = Recipe.load(vf.write_recipe(tmp_path / "r", tmp_path / "model", strategy(16), data, **SETTINGS))
    folder = RunFolder(recipe.output, recipe.settings.steps, 1)
    folder.open()
    run = Run(recipe, Processes(cpu=True), folder)
    assert run.go() == "finished"
    wanted = burst(16)
    there, here = optimizers
    assert there == here
    assert sorted(group[:2] for group in there) == [(2e-4, 0.1), (1e-3, 0.0), (2e-4 * 16, 0.1)]
    shown = [
        [(r.loss, r.grad_norm, r.grad_norms.norms, r.lr) for r in history] for history in (run.history, wanted.history)
    ]
    assert shown[0] == shown[1]
    wanted.result().save(tmp_path / "wanted")
    saved = load_file(tmp_path / "r" / "run" / "result" / "adapter_model.safetensors")
    expected = load_file(tmp_path / "wanted" / "adapter_model.safetensors")
    assert saved.keys() == expected.keys()
    assert all(torch.equal(value, saved[name]) for name, value in expected.items())
    # A control: without the ratio lora_B ends elsewhere.
    burst(None).result().save(tmp_path / "without")
    without = load_file(tmp_path / "without" / "adapter_model.safetensors")
    assert sorted(group[0] for group in optimizers[-1]) == [2e-4, 1e-3]
    assert {name for name in without if not torch.equal(without[name], saved[name])} >= {
        n for n in saved if "lora_B" in n
    }
