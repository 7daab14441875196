"""Support: one of the processes of a launch that runs several recipes one after another. Not collected by pytest.

``several.py [--fsdp] [--mean-of-means] recipe.json...``; each process writes how many elements it held of what trains.
"""

import json
import sys
from pathlib import Path

from vlmfreeze_widgets.adapters.accelerate_processes import Processes, own_part
from vlmfreeze_widgets.engine.runs.run_folder import RunFolder
from vlmfreeze_widgets.launch import shared_step
from vlmfreeze_widgets.launch.recipe import Recipe
from vlmfreeze_widgets.launch.run import Run
from vlmfreeze_widgets.launch.shared_model import SharedModel

flags = {a for a in sys.argv[1:] if a.startswith("--")}
processes = Processes(cpu=True, sharded="--fsdp" in flags)
if "--mean-of-means" in flags:
    right = shared_step.model_loss
    # What a trainer does that averages over micro-batches: each counts the same, however few label tokens it has.
    shared_step.model_loss = lambda model, batch, device: right(model, batch, device) * (8.75 / batch.label_tokens)

for path in (Path(a) for a in sys.argv[1:] if not a.startswith("--")):
    recipe = Recipe.load(path)
    folder = RunFolder(recipe.output, recipe.settings.steps, processes.count)
    if processes.is_main:
        folder.open()
    processes.wait()
    held = []
    trained = SharedModel.trained

    def counting(self, held=held, trained=trained):
        held += [own_part(t.parameter).numel() for t in self._applied.trainables]
        return trained(self)

    SharedModel.trained = counting
    assert Run(recipe, processes, folder).go() == "finished"
    SharedModel.trained = trained
    processes.wait()
    Path(recipe.output, f"held{processes.rank}.json").write_text(json.dumps(held))
processes.end()
