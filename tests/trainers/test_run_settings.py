"""A burst's settings in the trainers' words, and what is said where they are not given.

The values were read back by the trainers' own argument parsers, LLaMA-Factory 0.9.5 and ms-swift 4.6.0 on transformers 5.5.4: what
``READ`` holds is what those parsers gave for the files of these settings.
"""

from __future__ import annotations

import ast
import json
import runpy

import pytest
import torch
import yaml

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import BadConfig
from vlmfreeze_widgets.engine.settings import BurstSettings
from vlmfreeze_widgets.trainers.registry import TRAINERS

SETTINGS = BurstSettings(
    steps=60, accumulation=4, scheduler="cosine", warmup_steps=6, betas=(0.9, 0.98), eps=1e-7, precision="fp32",
    checkpointing=True, max_grad_norm=None, seed=3,
)  # fmt: skip
COMMON = {
    "max_steps": 60, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "lr_scheduler_type": "cosine",
    "max_grad_norm": 0.0, "seed": 3, "optim": "adamw_torch", "adam_beta1": 0.9, "adam_beta2": 0.98, "adam_epsilon": 1e-7,
    "bf16": False, "fp16": False,
}  # fmt: skip
READ = {
    "llamafactory": {**COMMON, "warmup_steps": 6, "disable_gradient_checkpointing": False, "use_reentrant_gc": False},
    "ms-swift": {**COMMON, "gradient_checkpointing": True, "gradient_checkpointing_kwargs": '{"use_reentrant": false}'},
    "llava": {**COMMON, "warmup_steps": 6, "warmup_ratio": 0.0, "gradient_checkpointing": True},
    "zero-nlp": {**COMMON, "warmup_steps": 6, "gradient_checkpointing": True},
}
BY_THEMSELVES = {
    "llamafactory": ("linear decay", "batch 8", "3 epochs"),
    "ms-swift": ("adam_beta2 0.95", "cosine", "16 rows a step"),
    "axolotl": ("cosine",),
    "zero-nlp": ("linear decay",),
}
LORA = {"language_model": vf.Lora(rank=8, alpha=16)}


def exported(to, settings=SETTINGS, rows=2, **others):
    return vf.export(vf.Strategy(LORA, 1e-4), published.tree("llava"), to, settings=settings, rows=rows, **others)


def flags(done):
    text = next(iter(done.files.values()))
    if text.lstrip().startswith("# grep"):
        pairs = (
            line.strip("'").removeprefix("--").split("=", 1)
            for line in text.splitlines()
            if line.startswith(("--", "'--"))
        )
        return {name: yaml.safe_load(value) if "e-" not in value else float(value) for name, value in pairs}
    return yaml.safe_load(text)


@pytest.mark.parametrize("to", READ)
def test_a_bursts_settings_are_written_in_the_trainers_words(to):
    found = flags(exported(to))
    assert {name: found.get(name) for name in READ[to]} == READ[to]


def test_warm_up_is_a_share_where_the_number_of_steps_would_be_dropped():
    found = flags(exported("ms-swift"))
    assert "warmup_steps" not in found  # dropped by ms-swift without a word: its own warmup_ratio of 0 wins
    for warmup, steps in ((6, 60), (1, 3), (7, 1000), (50, 50), (0, 9)):
        made = exported("ms-swift", BurstSettings(steps=steps, warmup_steps=warmup))
        ratio = flags(made)["warmup_ratio"]
        assert -(-steps * ratio // 1) == warmup  # as transformers rounds it
    longer = exported("ms-swift", BurstSettings(steps=5, warmup_steps=9))
    assert any("warm-up steps 9" in note for note in longer.notes)


@pytest.mark.parametrize("to", BY_THEMSELVES)
def test_without_settings_a_note_says_what_the_trainer_does_by_itself(to):
    notes = " ".join(exported(to, None, None).notes)
    assert all(word in notes for word in BY_THEMSELVES[to])
    assert "settings=burst.settings" in notes
    assert "settings=burst.settings" not in " ".join(exported(to).notes)  # the control


@pytest.mark.parametrize("to", ["peft", "unsloth"])
def test_a_file_without_words_for_a_run_names_the_settings(to):
    notes = " ".join(exported(to).notes)
    for said in ("steps 60", "accumulation 4", "schedule cosine", "beta2 0.98", "seed 3", "rows of a micro-batch 2"):
        assert said in notes


def test_what_has_no_word_is_named():
    made = exported("ms-swift", BurstSettings(seconds=30, optimizer="sgd", momentum=0.9), None)
    notes = " ".join(made.notes)
    assert "30 seconds" in notes
    assert "momentum 0.9" in notes
    assert "set per_device_train_batch_size" in notes


def test_the_persons_own_settings_win():
    found = flags(exported("llamafactory", lr_scheduler_type="linear", num_train_epochs=2))
    assert found["lr_scheduler_type"] == "linear"
    assert found["num_train_epochs"] == 2
    assert "max_steps" not in found


@pytest.mark.parametrize("wrong", [3, "cosine", {"nothing": 1}, [1]])
def test_what_is_no_settings_is_refused(wrong):
    with pytest.raises(BadConfig, match="no settings of a burst"):
        exported("llamafactory", wrong)


def test_every_trainer_takes_settings():
    for to in TRAINERS:
        try:
            without = vf.export(vf.Strategy(LORA, 1e-4), published.tree("llava"), to)
        except vf.VlmFreezeError:
            continue
        made = exported(to)
        assert made.settings == without.settings
        assert made.exact is without.exact


def test_the_script_makes_the_optimizer_of_the_burst(tmp_path):
    model = tiny_llava()
    for settings, kind in (
        (SETTINGS, torch.optim.AdamW),
        (BurstSettings(optimizer="sgd", momentum=0.5), torch.optim.SGD),
    ):
        folder = tmp_path / kind.__name__
        vf.export({"projector": "full"}, vf.read_tree(model), "trainer", folder=folder, settings=settings, rows=2)
        plan = json.loads((folder / "plan.json").read_text())
        _, made = runpy.run_path(str(folder / "train.py"))["prepare"](model, plan)
        assert type(made) is kind
        group = made.param_groups[0]
        assert group.get("betas", (0.9, 0.98)) == (0.9, 0.98)
        assert group.get("momentum", 0.5) == 0.5
    assert plan["run"]["steps"] == 50
    assert plan["run"]["rows"] == 2


def test_a_page_hands_over_the_sessions_settings():
    from vlmfreeze_widgets.session import Session

    session = Session(tiny_llava(), batches(), {"projector": "full"}, settings=SETTINGS)
    try:
        assert session.micro_batch_rows == batches()[0]["labels"].shape[0]
        _, look = session.handover.preview_export("ms-swift", session.settings, session.micro_batch_rows)
        found = yaml.safe_load(look.files["ms_swift.yaml"])
        assert found["adam_beta2"] == 0.98
        assert found["per_device_train_batch_size"] == session.micro_batch_rows
    finally:
        session.close()


def test_unsloths_call_stays_a_call():
    (text,) = exported("unsloth").files.values()
    assert ast.parse(text)
