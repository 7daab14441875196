"""Support: one of the processes of a group, which runs several recipes one after another. Not collected by pytest.

``main([--fsdp] [--mean-of-means] [--broken-update] recipe.json...)``; each process writes how many elements it held of what trains.
"""

import json
from pathlib import Path

import pytest
import torch

from vlmfreeze_widgets.adapters.accelerate_processes import Processes, own_part
from vlmfreeze_widgets.engine.batches.micro_batches import MicroBatches
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder
from vlmfreeze_widgets.engine.step import rollback, training_step
from vlmfreeze_widgets.launch.batch_files import read_batches
from vlmfreeze_widgets.launch.recipe import Recipe
from vlmfreeze_widgets.launch.run import Run
from vlmfreeze_widgets.launch.shared_model import SharedModel


def main(arguments: list[str]) -> int:
    """Runs the recipes; 0 when each has finished."""
    flags = {a for a in arguments if a.startswith("--")}
    recipes = [Path(a) for a in arguments if not a.startswith("--")]
    processes = Processes(cpu=True, sharded="--fsdp" in flags)
    if "--mean-of-means" in flags:
        right = training_step.model_loss
        # What a trainer does that averages over micro-batches: each counts the same, however few label tokens it has.
        training_step.model_loss = lambda model, batch, device: (
            right(model, batch, device) * (8.75 / batch.label_tokens)
        )
    for path in recipes:
        _run(path, processes)
    if "--broken-update" in flags:
        recipe = Recipe.load(recipes[0])
        found = [_broken_update(recipe, processes, most) for most in (rollback._MOST["cpu"], 0)]
        Path(recipe.output, f"undone{processes.rank}.json").write_text(json.dumps(found))
    processes.end()
    return 0


def _run(path: Path, processes: Processes) -> None:
    recipe = Recipe.load(path)
    folder = RunFolder(recipe.output, recipe.settings.steps, processes.count)
    if processes.is_main:
        folder.open()
    processes.wait()
    held = []
    trained = SharedModel.trained

    def counting(self):
        held.extend(own_part(t.parameter).numel() for t in self.training.applied.trainables)
        return trained(self)

    SharedModel.trained = counting
    assert Run(recipe, processes, folder).go() == "finished"
    SharedModel.trained = trained
    processes.wait()
    Path(recipe.output, f"held{processes.rank}.json").write_text(json.dumps(held))


def _broken_update(recipe: Recipe, processes: Processes, most: int) -> bool:
    """Whether what this process holds is as before an update that an error broke off, where ``most`` bytes are copied for that."""
    rollback._MOST["cpu"] = most
    batches = read_batches(recipe.batches)
    model = SharedModel(recipe, processes, same_inputs=True)
    before = [own_part(t.parameter).detach().clone() for t in model.training.applied.trainables]

    def half_an_update():
        for group in model.training.optimizer.param_groups:
            for tensor in group["params"]:
                own_part(tensor.detach()).mul_(0.5)
        raise RuntimeError("in the middle of the update")

    model.training.optimizer.step = half_an_update
    with pytest.raises(RuntimeError, match="in the middle"):
        model.step(MicroBatches(batches).take(processes.count), 1, is_last=False)
    after = [own_part(t.parameter).detach() for t in model.training.applied.trainables]
    assert all(t.grad is None for t in model.training.masters.tensors)
    return all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
