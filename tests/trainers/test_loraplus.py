"""LoRA+: lora_B at a multiple of lora_A's rate is one value of a tuning, and means in bursts, imports, exports and the exported
script what PEFT's own ``create_loraplus_optimizer`` does.
"""

from __future__ import annotations

import json
import runpy
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import BadConfig, InvalidStrategy, TrainerRefuses
from vlmfreeze_widgets.core.strategy.edits import set_blocks, set_lora, set_tuning
from vlmfreeze_widgets.engine.apply.apply import apply
from vlmfreeze_widgets.trainers.registry import TRAINERS
from vlmfreeze_widgets.trainers.selection import selection_of

LLAVA = published.tree("llava")
PLUS = vf.Lora(rank=4, alpha=8, loraplus_lr_ratio=16)
STRATEGY = vf.Strategy({"language_model": PLUS, "projector": "full"}, {"": 1e-3, "projector": 1e-2}, {"projector": 0.1})


def plain(name: str) -> str:
    """A parameter's name without what PEFT adds."""
    name = name.removeprefix("base_model.model.").replace(".base_layer", "").replace("lora_embedding_", "lora_")
    name = name.replace(".modules_to_save.default.", ".").replace(".default", "")
    return name.removesuffix(".weight") if ".lora_" in name else name


def groups_of(groups, names):
    """Name -> (learning rate, weight decay) of an optimizer's groups."""
    return {names[id(p)]: (float(f"{g['lr']:.9g}"), g["weight_decay"]) for g in groups for p in g["params"]}


def planned_groups(strategy, model, tree):
    applied = apply(model, vf.resolve(strategy, tree))
    try:
        names = {id(t.parameter): t.name for t in applied.trainables}
        return groups_of(applied.optimizer_groups, names)
    finally:
        applied.revert()


@pytest.mark.parametrize("kind", ["embeddings too", "DoRA"])
def test_a_burst_has_the_groups_of_pefts_own_optimizer(kind):
    layers = r".*language_model.*\.[qv]_proj" + (r"|.*embed_tokens" if kind == "embeddings too" else "")
    config = {
        "r": 4,
        "target_modules": layers,
        "use_dora": kind == "DoRA",
        "modules_to_save": ["multi_modal_projector"],
    }
    values = {"loraplus_lr_ratio": 16.0, "loraplus_lr_embedding": 3e-6, "loraplus_weight_decay": 0.1}
    wrapped = get_peft_model(tiny_llava(), LoraConfig(**config))
    optimizer = create_loraplus_optimizer(wrapped, torch.optim.AdamW, lr=1e-3, **values)
    real = groups_of(optimizer.param_groups, {id(p): plain(n) for n, p in wrapped.named_parameters()})
    model = tiny_llava()
    tree = vf.read_tree(model)
    read = vf.import_strategy({**config, "learning_rate": 1e-3, **values}, tree, "peft")
    assert not any("Not kept" in note for note in read.notes)
    assert planned_groups(read.strategy, model, tree) == real
    assert {lr for lr, _ in real.values()} == ({1e-3, 1.6e-2, 3e-6} if kind == "embeddings too" else {1e-3, 1.6e-2})
    # A control: without the ratio the groups are others.
    without = {t: replace(r, loraplus_lr_ratio=None) if isinstance(r, vf.Lora) else r for t, r in read.rules.items()}
    assert planned_groups(vf.Strategy(without, read.lr, read.weight_decay), model, tree) != real


def test_lora_b_moves_by_the_ratio_in_a_burst_and_lora_a_does_not():
    moved = {}
    for ratio in (None, 8.0):
        rules = {"language_model": vf.Lora(rank=4, alpha=8, loraplus_lr_ratio=ratio)}
        burst = vf.Burst(
            tiny_llava(),
            vf.Strategy(rules, 1e-3),
            batches(1),
            steps=1,
            optimizer="sgd",
            max_grad_norm=None,
            run_folder=False,
        )
        burst.run()
        moved[ratio] = burst.trained_values
        assert burst.history[-1].lr == {"language_model": 1e-3}
    name = next(n for n in moved[None] if n.endswith("q_proj.lora_B"))
    assert moved[None][name].abs().sum() > 0
    torch.testing.assert_close(moved[8.0][name], 8 * moved[None][name])
    torch.testing.assert_close(moved[8.0][name[:-1] + "A"], moved[None][name[:-1] + "A"])


SETTINGS = {
    "llamafactory": {"finetuning_type": "lora", "loraplus_lr_ratio": 16.0, "learning_rate": 1e-4},
    "ms-swift": {"tuner_type": "lora", "lorap_lr_ratio": 16.0, "learning_rate": 1e-4},
    "unsloth": {"finetune_vision_layers": False, "loraplus_lr_ratio": 16.0, "learning_rate": 1e-4},
    "axolotl": {
        "adapter": "lora",
        "lora_target_modules": ["gate_proj"],
        "loraplus_lr_ratio": 16.0,
        "learning_rate": 1e-4,
    },
    "peft": {"target_modules": ["gate_proj"], "loraplus_lr_ratio": 16.0, "learning_rate": 1e-4},
}


@pytest.mark.parametrize("trainer", SETTINGS)
def test_an_import_keeps_both_rates_and_an_export_writes_them_where_it_can(trainer):
    read = vf.import_strategy(SETTINGS[trainer], LLAVA, trainer)
    assert not any("Not kept" in note for note in read.notes)
    assert read.rules["language_model"].loraplus_lr_ratio == 16
    lr = selection_of(vf.resolve(read, LLAVA)).lr
    assert {(name.rpartition(".")[2], rate) for name, rate in lr.items()} == {("lora_A", 1e-4), ("lora_B", 1.6e-3)}
    written = vf.export(read, LLAVA, trainer)
    assert written.exact is (trainer != "peft")
    if trainer == "peft":
        assert any("create_loraplus_optimizer" in note for note in written.notes)
        return
    (text,) = (text for text in written.files.values() if "lora" in text)
    assert vf.import_strategy(text, LLAVA, trainer).rules == read.rules
    # A control: the flag alone carries the ratio.
    assert vf.export(vf.import_strategy(text.replace("16", "4"), LLAVA, trainer), LLAVA, trainer).files != written.files


def test_what_knows_no_second_rate_is_not_exact_and_says_why():
    for trainer in ("llava", "trl-sft", "peft", "zero-nlp"):
        written = vf.export({"language_model": PLUS}, LLAVA, trainer)
        assert not written.exact
        assert any("LoRA+ cannot be said" in note for note in written.notes)
        assert not any("LoRA+" in n for n in vf.export({"language_model": vf.Lora(rank=4)}, LLAVA, trainer).notes)
    # One ratio for all is all that the flag says.
    two = {"language_model": PLUS, "vision_tower": replace(PLUS, loraplus_lr_ratio=2)}
    assert not vf.export(two, LLAVA, "llamafactory").exact
    assert vf.export(two, LLAVA, "trainer").exact


def test_the_exported_script_has_the_plans_groups(tmp_path):
    model = tiny_llava()
    tree = vf.read_tree(model)
    rules = {**STRATEGY.rules, "vision_tower": replace(PLUS, loraplus_lr_ratio=None)}
    strategy = vf.Strategy(rules, STRATEGY.lr, STRATEGY.weight_decay)
    written = vf.export(strategy, tree, "trainer", folder=tmp_path)
    assert written.exact
    plan = json.loads((tmp_path / "plan.json").read_text())
    script = runpy.run_path(str(tmp_path / "train.py"))

    def groups(plan):
        adapted, optimizer = script["prepare"](tiny_llava(), plan)
        return groups_of(optimizer.param_groups, {id(p): plain(n) for n, p in adapted.named_parameters()})

    wanted = planned_groups(strategy, model, tree)
    assert groups(plan) == wanted
    assert vf.import_strategy(tmp_path / "plan.json", tree).rules["language_model"].loraplus_lr_ratio == 16
    assert groups({**plan, "rates": {place: rate[:2] for place, rate in plan["rates"].items()}}) != wanted


def test_ms_swift_makes_loraplus_groups_by_the_optimizer_that_is_named():
    flags = SETTINGS["ms-swift"]
    assert (
        vf.import_strategy({**flags, "optimizer": "lorap"}, LLAVA, "ms-swift").rules["language_model"].b_lr_factor == 16
    )
    other = vf.import_strategy({**flags, "optimizer": "multimodal", "vit_lr": 1e-6}, LLAVA, "ms-swift")
    assert other.rules["language_model"].b_lr_factor == 1
    assert any("lorap_lr_ratio is ignored" in note for note in other.notes)
    with pytest.raises(TrainerRefuses, match="galore"):
        vf.import_strategy({**flags, "optimizer": "adamw_torch"}, LLAVA, "ms-swift")


def test_axolotls_loraplus_decays_nothing_and_knows_no_embeddings():
    flags = {**SETTINGS["axolotl"], "lora_target_modules": ["gate_proj", "embed_tokens"], "weight_decay": 0.1}
    read = vf.import_strategy({**flags, "loraplus_lr_embedding": 1e-5}, LLAVA, "axolotl")
    assert {g.weight_decay for g in vf.resolve(read, LLAVA).optimizer_groups} == {0.0}
    assert {g.lr for g in vf.resolve(read, LLAVA).optimizer_groups} == {1e-4, 1.6e-3}
    assert any("weight_decay does nothing" in note for note in read.notes)
    assert any("loraplus_lr_embedding does nothing" in note for note in read.notes)
    del flags["loraplus_lr_ratio"]
    assert {
        g.weight_decay for g in vf.resolve(vf.import_strategy(flags, LLAVA, "axolotl"), LLAVA).optimizer_groups
    } == {0.1}


def test_edits_files_and_texts_keep_the_ratio():
    edited = set_blocks(
        set_lora(set_tuning(STRATEGY, LLAVA, ["language_model"], "lora"), LLAVA, "language_model", 8, 16),
        LLAVA,
        "language_model",
        1,
    )
    kept = [rule for rule in edited.rules.values() if isinstance(rule, vf.Lora)]
    assert kept
    assert {rule.loraplus_lr_ratio for rule in kept} == {16}
    assert vf.Strategy.from_dict(STRATEGY.to_dict()) == STRATEGY
    assert eval(repr(PLUS), {"Lora": vf.Lora}) == PLUS  # noqa: S307 - our own text
    assert "loraplus" not in repr(vf.Lora())
    assert "loraplus_lr_ratio" not in str(vf.Strategy({"language_model": "lora"}).to_dict())
    slower = STRATEGY.with_rule("language_model", replace(PLUS, loraplus_lr_ratio=None))
    assert list(STRATEGY.diff(slower)) == ["rules.language_model"]
    plan = vf.resolve(STRATEGY, LLAVA)
    assert "LLM LoRA r4 1e-3 (B lr ×16)" in str(plan)
    assert "×" not in str(vf.resolve(slower, LLAVA))
    assert plan.component_rates == {"projector": 1e-2, "language_model": 1e-3}


@pytest.mark.parametrize("ratio", [0, -1, True, float("nan"), float("inf"), "16"])
def test_a_ratio_that_cannot_be_meant_is_refused(ratio):
    with pytest.raises(InvalidStrategy) as caught:
        vf.Lora(loraplus_lr_ratio=ratio)
    assert "above 0" in caught.value.expected
    assert "16" in caught.value.remedy
    for trainer in ("axolotl", "peft") if ratio in (0, -1) else ():
        with pytest.raises((TrainerRefuses, BadConfig)):
            vf.import_strategy({**SETTINGS[trainer], "loraplus_lr_ratio": ratio}, LLAVA, trainer)


def test_every_trainer_that_knows_loraplus_is_tested_here():
    knowing = {key for key, trainer in TRAINERS.items() if any("ratio" in f and "lora" in f for f in trainer.flags)}
    assert knowing == set(SETTINGS)
