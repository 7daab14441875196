"""What a trainer really does in a run: losses, changed tensors, and rate and decay of all that is in its optimizer. Runs in the
trainers' environment, so nothing of this package is imported.

Every trainer here steps through transformers' ``Trainer.train`` and ``Trainer.training_step``; both are listened to.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import Trainer


class Batches(torch.utils.data.Dataset):
    """Ready micro-batches: one is one row."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.safetensors"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return load_file(self.files[index])


def first(rows: list[dict[str, torch.Tensor]], *_: Any, **__: Any) -> dict[str, torch.Tensor]:
    """The collator for rows that are micro-batches already."""
    return rows[0]


def plain(name: str) -> str:
    """A parameter's name without what PEFT adds; "<module>.lora_A" for an adapter."""
    name = name.removeprefix("base_model.model.").replace(".modules_to_save.default", "").replace(".base_layer", "")
    return re.sub(r"\.(lora_[AB])\.default\.weight$", r".\1", name)


class Recording:
    """Listens to one run; ``outcome`` holds what it saw."""

    def __init__(self, adapters: Path) -> None:
        self.adapters = load_file(adapters) if adapters.exists() else {}
        self.outcome: dict[str, Any] = {"losses": []}

    def __enter__(self) -> Recording:
        self.train, self.step = Trainer.train, Trainer.training_step
        recording = self

        def train(trainer: Trainer, *given: Any, **others: Any) -> Any:
            return recording.whole_run(trainer, *given, **others)

        def training_step(trainer: Trainer, *given: Any, **others: Any) -> torch.Tensor:
            loss = recording.step(trainer, *given, **others)
            recording.outcome["losses"].append(float(loss))
            return loss

        Trainer.train, Trainer.training_step = train, training_step
        return self

    def __exit__(self, *_: object) -> None:
        Trainer.train, Trainer.training_step = self.train, self.step

    def whole_run(self, trainer: Trainer, *given: Any, **others: Any) -> Any:
        """The run, with the random side of adapters as the burst had it, and the state before and after."""
        held = {plain(name): p for name, p in trainer.model.named_parameters() if ".original_module." not in name}
        for name, value in self.adapters.items():
            if name in held:
                held[name].data.copy_(value)
        before = {name: p.detach().clone() for name, p in held.items()}
        done = self.train(trainer, *given, **others)
        self.outcome["changed"] = sorted(
            name
            for name, p in held.items()
            if not torch.equal(before[name], p.detach()) and not name.endswith(".lora_A")
        )
        names = {id(p): name for name, p in held.items()}
        optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
        self.outcome["groups"] = {
            names[id(p)]: [group.get("initial_lr", group["lr"]), group["weight_decay"]]
            for group in optimizer.param_groups
            for p in group["params"]
            if p.requires_grad
        }
        self.outcome["driven"] = f"{type(trainer).__mro__[0].__name__}.train"
        return done


def run_each(folder: Path, train: Callable[[Path, dict[str, Any], Path], None]) -> None:
    """Runs all cases of ``write_runs`` in this process and writes ``outcome.json`` beside each; an error is an outcome too.

    Args:
        folder: Holds a folder per family, with model, batches and cases.
        train: Takes (the case's folder, its case.json, the family's folder) and trains.
    """
    for file in sorted(folder.glob("*/*/case.json")):
        case = json.loads(file.read_text())
        if "cannot" in case:
            continue
        work = file.parent / "work"
        work.mkdir()
        os.chdir(work)  # trainers leave output folders where they run
        with Recording(file.parent / "adapters.safetensors") as recording:
            try:
                train(file.parent, case, file.parent.parent)
            except (Exception, SystemExit) as error:
                recording.outcome["error"] = f"{type(error).__name__}: {error}"
                recording.outcome["trace"] = traceback.format_exc()[-3000:]
        (file.parent / "outcome.json").write_text(json.dumps(recording.outcome))
        print("x" if "error" in recording.outcome else ".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
