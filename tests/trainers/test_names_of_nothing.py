"""An import tells of a path that fits nothing in the model, as names of an older transformers do, and of no path that fits."""

import pytest

import vlmfreeze_widgets as vf
from tests.conformance.tiny_models import tiny_config
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.trainers.names_of_nothing import alike

LLAVA = published.tree("llava")
OLD_Q = "language_model.model.layers.0.self_attn.q_proj"  # of LLaVA until transformers 4.51
NEW_Q = "model.language_model.layers.0.self_attn.q_proj"
PEFT = {"peft_type": "LORA", "r": 8}


def passed_over(given, trainer, tree=LLAVA):
    return [note for note in vf.import_strategy(given, tree, trainer).notes if "passed over" in note]


@pytest.mark.parametrize(
    ("trainer", "given", "named", "here"),
    [
        ("peft", {**PEFT, "target_modules": ["k_proj", OLD_Q]}, OLD_Q, NEW_Q),
        ("peft", {**PEFT, "target_modules": ["q_proj"], "rank_pattern": {OLD_Q: 4}}, OLD_Q, NEW_Q),
        (
            "peft",
            {**PEFT, "target_modules": ["q_proj"], "modules_to_save": ["language_model.lm_head"]},
            "language_model.lm_head",
            "lm_head",
        ),
        (
            "llamafactory",
            {"finetuning_type": "lora", "lora_target": "q_proj", "additional_target": "language_model.lm_head"},
            "language_model.lm_head",
            "lm_head",
        ),
        (
            "axolotl",
            {"unfrozen_parameters": ["^language_model.model.layers.1.", "model.multi_modal_projector"]},
            "language_model.model.layers.1",
            "model.language_model.layers.1",
        ),
    ],
)
def test_a_path_of_an_older_release_is_named_with_what_it_may_be_here(trainer, given, named, here):
    (note,) = passed_over(given, trainer)
    assert f"passed over: {named}. {named} may be what is {here} here." in note


def test_the_old_names_of_qwen_too():
    tree = vf.read_tree(tiny_config("qwen2_5_vl"))
    given = {**PEFT, "target_modules": ["visual.blocks.0.attn.qkv", "model.layers.0.self_attn.q_proj"]}
    (note,) = passed_over(given, "peft", tree)
    assert "may be what is model.language_model.layers.0.self_attn.q_proj here" in note


@pytest.mark.parametrize(
    ("trainer", "given"),
    [
        ("peft", {**PEFT, "target_modules": ["k_proj", NEW_Q]}),
        ("peft", {**PEFT, "target_modules": ["q_proj", "w1"]}),  # a list for several families
        ("peft", {**PEFT, "target_modules": r"language_model\.model\..*|.*\.q_proj"}),
        # PEFT matches copies at the end of the name without a dot: language_model.embed_tokens.
        ("peft", {**PEFT, "target_modules": ["q_proj"], "modules_to_save": ["model.embed_tokens"]}),
        # LLaMA-Factory's pattern takes names within a path.
        ("llamafactory", {"finetuning_type": "lora", "lora_target": "model.layers.0.self_attn.q_proj"}),
        ("axolotl", {"unfrozen_parameters": ["model.language_model.layers.1"]}),
    ],
)
def test_what_fits_or_may_be_meant_for_another_family_is_not_told(trainer, given):
    assert passed_over(given, trainer) == []


def test_names_of_both_releases_in_our_own_exports_are_not_told():
    plan = vf.resolve({"vision_tower[-1:]": vf.Lora(rank=8), "projector": "full"}, LLAVA)
    settings = vf.export(plan, to="peft").settings
    assert "vision_model" in str(settings)
    assert passed_over({"peft_type": "LORA", **settings}, "peft") == []


def test_where_nothing_fits_peft_stops_and_names_are_the_remedy():
    with pytest.raises(TrainerRefuses, match="no module matches the targets") as told:
        vf.import_strategy({**PEFT, "target_modules": [OLD_Q]}, LLAVA, "peft")
    assert "releases of transformers differ in names" in told.value.remedy


def test_a_path_that_two_modules_resemble_alike_has_no_hint():
    assert alike("foo.q_proj", LLAVA) is None
    assert alike(OLD_Q, LLAVA) == NEW_Q
