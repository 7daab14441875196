"""Published recipes: each number has a source, each stage plans on every family it fits, and a missing part is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from tests.trainers import published_cases
from vlmfreeze_widgets.core.errors import UnknownTarget
from vlmfreeze_widgets.core.recipes import published
from vlmfreeze_widgets.core.recipes.presets import PRESETS, chosen_preset

TREE = vf.read_tree(tiny_llava())
TABLE = json.loads((Path(published.__file__).parent / "published.json").read_text(encoding="utf-8"))
TEXT_ONLY = vf.read_tree(
    {"model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
     "num_attention_heads": 4, "num_key_value_heads": 2}
)  # fmt: skip
FIELDS = {
    "name", "trains", "lr", "batch", "per_device", "epochs", "steps", "schedule", "warmup", "decay", "clip", "length",
    "data", "source", "notes", "optimizer", "instead_of",
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_names_its_repository_and_each_stage_its_script(name):
    recipe = TABLE[name]
    assert recipe["repository"].count("/") == 1
    assert not recipe["paper"] or re.fullmatch(r"arXiv:\d{4}\.\d{5}", recipe["paper"])
    for stage in recipe["stages"]:
        assert set(stage) <= FIELDS
        assert stage["source"]
        assert recipe["repository"] in PRESETS[f"{name}/{stage['name']}"].source


def test_the_published_numbers_of_llava_are_those_of_its_scripts():
    pretrain, finetune = vf.published("llava-1.5", TREE)
    assert (pretrain.strategy.lr[""], pretrain.batch, pretrain.epochs, pretrain.schedule) == (1e-3, 256, 1, "cosine")
    assert (finetune.strategy.lr[""], finetune.batch, finetune.warmup) == (2e-5, 128, 0.03)
    assert finetune.strategy.weight_decay[""] == 0
    lora = vf.published("llava-1.5", TREE, instead="lora")["lora"]
    assert {t.rank for t in lora.plan(TREE).lora_targets.values()} == {128}
    rates = {group.component: group.lr for group in lora.plan(TREE).optimizer_groups}
    assert rates == {"projector": 2e-5, "language_model": 2e-4}


@pytest.mark.parametrize("model", sorted(published_cases.configs()))
def test_what_fits_a_model_plans_on_it_and_trains_the_parts_that_it_says(model):
    tree = published_cases.tree(model)
    for preset in vf.presets(tree):
        plan = preset.stage.plan(tree)
        assert plan.trainable_params > 0, preset.name
        wanted = TABLE[preset.name.partition("/")[0]]["stages"]
        trains = next(s["trains"] for s in wanted if s["name"] == preset.stage.name)
        components = {group.component for group in plan.optimizer_groups}
        assert ("projector" in components) == ("projector" in trains), preset.name
        assert ("language_model" in components) == bool({"llm", "llm_attention"} & set(trains)), preset.name


def test_attention_is_found_whatever_the_model_calls_it():
    for model in published_cases.configs():
        tree = published_cases.tree(model)
        (stage,) = vf.published("paligemma/attention", tree)
        trained = stage.plan(tree).trainable
        assert trained, model
        assert all("att" in name.lower() and tree.component_of(name) == "language_model" for name in trained)


def test_a_part_that_the_model_does_not_have_is_told_and_left_out():
    pretrain, finetune = vf.published("llava-1.5", TEXT_ONLY)
    assert "This model has no projector; that part of the recipe is left out." in pretrain.notes
    assert "Nothing of this stage trains on this model." in pretrain.notes
    assert finetune.plan(TEXT_ONLY).trainable_params == TEXT_ONLY.total_params
    assert not vf.presets(TEXT_ONLY)


def test_a_preset_is_a_stage_and_a_colon_does_as_well_as_a_slash():
    assert vf.preset("llava-1.5:lora") == vf.preset("llava-1.5/lora") == PRESETS["llava-1.5/lora"].strategy
    assert chosen_preset(TREE, "llava-1.5/finetune").name == "llava-1.5/finetune"
    for name in ("llava-1.5/lorra", "lava-1.5", "llava-1.5/x"):
        with pytest.raises(UnknownTarget):
            vf.preset(name)
    with pytest.raises(UnknownTarget, match="Did you mean 'llava-1.5'"):
        vf.published("lava-1.5", TREE)


def test_an_alternative_runs_in_the_place_of_the_stage_that_it_stands_for():
    assert [s.name for s in vf.published("llava-1.5")] == ["pretrain", "finetune"]
    assert [s.name for s in vf.published("llava-1.5", instead="lora")] == ["pretrain", "lora"]
    for recipe in published.recipes().values():
        assert set(recipe.instead_of.values()) <= {stage.name for stage in recipe.main}


def test_what_the_source_does_not_say_is_left_open():
    stage = vf.published("internvl-1.5")["pretrain"]
    assert (stage.schedule, stage.epochs, stage.steps, stage.warmup) == ("", None, None, 0)
    assert dict(stage.strategy.weight_decay) == {}


def test_all_recipes_survive_yaml(tmp_path):
    for name in TABLE:
        stages = vf.published(name)
        assert vf.Stages.load(stages.save(tmp_path / "s.yaml")) == stages
