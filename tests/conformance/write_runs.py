"""Writes the cases of the real runs: tiny models on disk, micro-batches, six strategies as a trainer's settings, and the burst of
each on the same batches. Two altered exports per family beside them are the control.

``python -m tests.conformance.write_runs FOLDER TRAINER``, under the Python whose transformers the trainer runs on.
"""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import vlmfreeze_widgets as vf
from tests.data.processors import make_tokenizer
from tests.families import family_batch, tiny
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers.decay_rule import by_names_and_classes

STEPS = 4
FAMILIES = {"llava": "llava1_5_hf", "qwen2_5_vl": "qwen2_5_vl", "gemma3": "gemma3_vision"}
"""Family -> what ms-swift calls it."""
EVERYTHING = "everything"
LORA = vf.Lora(rank=4, alpha=8)
STRATEGIES: dict[str, dict[str, Any]] = {
    "projector full": {"projector": "full"},
    "LLM LoRA": {"language_model": LORA},
    "LLM LoRA + projector full": {"language_model": LORA, "projector": "full"},
    "LLM + projector full": {"language_model": "full", "projector": "full"},
    "last two vision blocks full": {"vision_tower[-2:]": "full"},
    "everything full": {EVERYTHING: "full"},
}
INSTEAD = {"last two vision blocks full": ("vision tower full", {"vision_tower": "full"})}
"""Where a target cannot say the first."""
ONE_RATE, RATES = {"": 1e-3}, {"": 1e-3, "projector": 2e-3}
DECAY = 0.1
CONTROLS = ("another rate", "a part left out")
CONTROLLED = {"trl-sft": ("LLM LoRA + projector full", {"language_model": LORA})}
"""Of which strategy the controls are, and what stays of it where a part is left out; where a target cannot say the usual one."""
OWN: dict[str, dict[str, Any]] = {
    "trainer": {"use_cpu": True, "disable_tqdm": True},
    "trl": {"use_cpu": True, "disable_tqdm": True},
    "trl-sft": {
        "dataset_name": "demo", "output_dir": "out", "report_to": "none", "use_cpu": True, "dtype": "float32",
        "remove_unused_columns": False, "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True,
        "shuffle_dataset": False, "train_sampling_strategy": "sequential", "dataset_kwargs": '{"skip_prepare_dataset": true}',
    },
    "llamafactory": {
        "dataset": "demo", "template": "empty", "output_dir": "out", "report_to": "none", "use_cpu": True, "bf16": False,
        "disable_shuffling": True, "remove_unused_columns": False, "per_device_train_batch_size": 1, "logging_steps": 1,
        "save_strategy": "no", "disable_tqdm": True, "dataloader_num_workers": 0, "overwrite_cache": True,
    },
    "ms-swift": {
        "dataset": ["demo.jsonl"], "output_dir": "out", "template": "dummy", "report_to": "none", "use_cpu": True,
        "torch_dtype": "float32", "train_dataloader_shuffle": False, "remove_unused_columns": False, "logging_steps": 1,
        "per_device_train_batch_size": 1, "save_strategy": "no", "disable_tqdm": True, "dataloader_num_workers": 0,
    },
}  # fmt: skip
"""What a person adds: rows in the order in which they stand, one ready micro-batch as one row, no saving on the way."""


def write_model(family: str, folder: Path) -> Any:
    """The family's tiny model with a tokenizer, in a folder. Noise on all weights: Gemma's projector would start at zero."""
    model = tiny(family)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=draw), alpha=0.02)
    model.save_pretrained(folder)
    make_tokenizer("qwen" if family.startswith("qwen") else family).save_pretrained(folder)
    return model


def decays(tree: ModuleTree, trainer: str) -> dict[str, float]:
    """A decay that the trainer can say: our script takes any, the others spare biases and norms by transformers' rule."""
    if trainer in ("trainer", "trl"):
        return {"": DECAY, "projector": 0.0}
    spared = [p.name for p in tree.parameters if by_names_and_classes(p.name, tree)]
    return {"": DECAY, **dict.fromkeys(spared, 0.0)}


def burst_of(model: Any, strategy: vf.Strategy, batches: list[dict[str, torch.Tensor]]) -> dict[str, Any]:
    """What the burst itself does: losses, changed tensors, and rate and decay of all that is in its optimizer."""
    plan = vf.resolve(strategy, vf.read_tree(model))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    result = vf.Burst(model, strategy, batches, steps=STEPS).run()
    losses = [float(row.loss) for row in result.history]
    result.keep()
    changed = []
    for name, parameter in model.named_parameters():
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        if adapter := re.search(r"(.*)\.(lora_[AB])\.default\.weight$", plain):
            # An adapter is new: A starts at random and B at zero, and B tells whether a step reached it.
            if adapter[2] == "lora_B" and float(parameter.abs().max()) > 0:
                changed.append(f"{adapter[1]}.lora_B")
        elif not torch.equal(before[plain], parameter.detach()):
            changed.append(plain)
    groups = {name: [g.lr, g.weight_decay] for g in plan.optimizer_groups for name in g.params}
    return {"losses": losses, "changed": sorted(changed), "groups": groups}


def export(strategy: vf.Strategy, tree: ModuleTree, family: str, trainer: str, folder: Path) -> vf.Exported | str:
    """The trainer's settings, or why they cannot be exact."""
    own = dict(OWN[trainer])
    if trainer == "ms-swift":
        own["model_type"] = FAMILIES[family]
    try:
        done = vf.export(strategy, tree, trainer, settings={"steps": STEPS, "accumulation": 1}, rows=1, **own)
    except TrainerRefuses as error:
        return f"{type(error).__name__}: {error}"
    return done if done.exact else f"not exact: {done.notes[0]}"


def altered(done: vf.Exported, other: vf.Exported, control: str) -> dict[str, str]:
    """The export's files at another rate, or those of an export that leaves a part out."""
    if control == "a part left out":
        return dict(other.files)
    name = next(iter(done.files))
    text, number = re.subn(r"(learning_rate: |\n +)(0\.001|1e-03)\b", r"\g<1>0.003", done.files[name])
    assert number, "the control has to change a rate"
    return {**done.files, name: text}


def write(folder: Path, trainer: str) -> None:
    """All cases of one trainer: a folder each with the export's files, ``case.json`` and, with LoRA, how adapters start."""
    for family in FAMILIES:
        home = folder / family
        write_model(family, home / "model")
        batches = [{k: v.contiguous() for k, v in family_batch(family, seed).items()} for seed in range(STEPS)]
        (home / "batches").mkdir(parents=True)
        for i, batch in enumerate(batches):
            save_file(batch, home / "batches" / f"{i}.safetensors")
        for number, (name, rules) in enumerate(STRATEGIES.items()):
            write_case(home, f"{number}", family, trainer, name, rules, batches)


def load(folder: Path) -> Any:
    """The model as a trainer gets it."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)


def write_case(
    home: Path, place: str, family: str, trainer: str, name: str, rules: dict[str, Any], batches: list[Any]
) -> None:
    """One strategy, and for the fourth its controls; where the target cannot say it, the reason."""
    model = load(home / "model")
    tree = vf.read_tree(model)
    rules = dict.fromkeys(tree.components, "full") if EVERYTHING in rules else rules
    rate = ONE_RATE if trainer in ("llamafactory", "trl-sft") else RATES
    lr = {key: value for key, value in rate.items() if not key or key in tree.components}

    def to_strategy(rules: dict[str, Any]) -> vf.Strategy:
        return vf.Strategy(rules, lr, decays(tree, trainer))

    strategy = to_strategy(rules)
    done = export(strategy, tree, family, trainer, home)
    said = ""
    if isinstance(done, str) and name in INSTEAD:
        said = f"{name}: {done}"
        name, rules = INSTEAD[name]
        strategy = to_strategy(rules)
        done = export(strategy, tree, family, trainer, home)
    case: dict[str, Any] = {"family": family, "strategy": name, "instead_of": said, "trainer": trainer}
    if isinstance(done, str):
        _put(home / place, {**case, "cannot": done}, {})
        return
    files = dict(done.files)
    case["files"] = list(files)
    # Our script draws adapters as the burst does; other trainers draw their own, and get the burst's for the losses' sake.
    adapters = {} if trainer in ("trainer", "trl") else starting_adapters(strategy, tree, home)
    case["burst"] = burst_of(model, strategy, batches)
    _put(home / place, case, files, adapters)
    controlled, rest = CONTROLLED.get(trainer, ("LLM + projector full", {"projector": "full"}))
    if name == controlled:
        other = export(to_strategy(rest), tree, family, trainer, home)
        for i, control in enumerate(CONTROLS):
            if not isinstance(other, str):
                _put(home / f"control{i}", {**case, "control": control}, altered(done, other, control))


def starting_adapters(strategy: vf.Strategy, tree: ModuleTree, home: Path) -> dict[str, torch.Tensor]:
    """The random side of each adapter as a burst draws it, from the script that our export writes."""
    folder = home / "script" / str(len(list((home / "script").glob("*"))))
    vf.export(strategy, tree, "trainer", folder=folder)
    model, _ = runpy.run_path(str(folder / "train.py"))["prepare"](
        load(home / "model"), json.loads((folder / "plan.json").read_text())
    )
    return {
        name.removeprefix("base_model.model.").removesuffix(".default.weight"): p.detach().clone()
        for name, p in model.named_parameters()
        if ".lora_A." in name
    }


def _put(
    folder: Path, case: dict[str, Any], files: dict[str, str], adapters: dict[str, torch.Tensor] | None = None
) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.json").write_text(json.dumps(case))
    if adapters:
        save_file(adapters, folder / "adapters.safetensors")


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
