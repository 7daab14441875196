"""``target_parameters`` that are no stacks of experts, in the settings of every trainer that takes them and in a live PeftModel."""

from __future__ import annotations

import peft
import pytest

import vlmfreeze_widgets as vf
from tests.engine.model.test_experts import tiny_mixture
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import NotExpressible, TrainerRefuses

TREE = published.tree("qwen3_vl_moe")
ROUTER = "model.language_model.layers.1.mlp.gate.weight"


def in_words_of(trainer, names, modules=None):
    """The same LoRA in a trainer's own settings."""
    if trainer in ("axolotl", "trl-sft"):
        told = {
            "lora_target_parameters": names,
            "lora_dropout": 0.0,
            **({"lora_target_modules": modules} if modules else {}),
        }
        return {**told, **({"adapter": "lora"} if trainer == "axolotl" else {"use_peft": True})}
    told = {"target_parameters": names, **({"target_modules": modules} if modules else {})}
    return {**told, "lora_dropout": 0.0, **({"peft_type": "LORA"} if trainer == "peft" else {})}


@pytest.mark.parametrize("trainer", ["peft", "ms-swift", "unsloth", "axolotl", "trl-sft"])
def test_adapters_on_a_router_are_refused_by_its_name_and_those_on_experts_are_read(trainer):
    modules = ["q_proj"]
    for names in (["mlp.gate.weight"], ["experts.down_proj", "mlp.gate.weight"]):
        with pytest.raises(NotExpressible) as refusal:
            vf.import_strategy(in_words_of(trainer, names, modules), TREE, trainer)
        assert ROUTER in refusal.value.found
        assert "target_parameters" in refusal.value.expected
        assert "model.language_model.layers.1.mlp.gate in full" in refusal.value.remedy
    plan = vf.resolve(
        vf.import_strategy(in_words_of(trainer, ["experts.down_proj"], modules), TREE, trainer).strategy, TREE
    )
    assert "model.language_model.layers.1.mlp.experts.down_proj" in plan.lora_targets


def test_adapters_on_an_embeddings_weight_are_refused_with_the_way_to_say_it():
    with pytest.raises(NotExpressible) as refusal:
        vf.import_strategy(in_words_of("peft", ["embed_tokens.weight"]), TREE)
    assert "model.language_model.embed_tokens" in refusal.value.remedy
    read = vf.import_strategy({"peft_type": "LORA", "target_modules": ["language_model.embed_tokens"]}, TREE)
    assert "model.language_model.embed_tokens" in vf.resolve(read.strategy, TREE).lora_targets


def test_a_linear_layers_weight_is_the_layer():
    read = vf.import_strategy(in_words_of("peft", ["layers.0.self_attn.q_proj.weight"]), TREE)
    assert list(vf.resolve(read.strategy, TREE).lora_targets) == ["model.language_model.layers.0.self_attn.q_proj"]


STOPS = {
    "one dimension": (["experts.down_proj", "input_layernorm.weight"], "neither two dimensions nor three"),
    "five dimensions": (["patch_embed.proj.weight"], "neither two dimensions nor three"),
    "no such parameter": (["mlp.nosuch"], "no parameter matches target_parameters"),
}


@pytest.mark.parametrize("what", STOPS)
def test_where_peft_stops_the_import_says_why_and_peft_does_stop(what):
    names, words = STOPS[what]
    with pytest.raises(TrainerRefuses, match=words) as refusal:
        vf.import_strategy(in_words_of("peft", names), TREE)
    assert names[-1] in refusal.value.found
    with pytest.raises(ValueError, match=r"dimensional Parameter|no `target_parameters` found"):
        peft.get_peft_model(tiny_mixture(), peft.LoraConfig(r=2, target_parameters=names))


def test_a_name_that_no_parameter_has_is_told_beside_targets_that_are_there():
    for names, modules in ((["experts.down_proj", "mlp.nosuch"], None), (["mlp.nosuch"], ["q_proj"])):
        notes = vf.import_strategy(in_words_of("peft", names, modules), TREE).notes
        assert any("mlp.nosuch" in note for note in notes)
    assert not any(
        "no parameter" in note for note in vf.import_strategy(in_words_of("peft", ["experts.down_proj"]), TREE).notes
    )


def test_a_live_model_with_adapters_on_its_router_is_refused_and_one_with_experts_is_read():
    def live(*names):
        return peft.get_peft_model(tiny_mixture(), peft.LoraConfig(r=2, target_parameters=list(names)))

    with pytest.raises(NotExpressible) as refusal:
        vf.import_strategy(live("mlp.gate.weight"))
    assert "model.language_model.layers.0.mlp.gate.weight" in refusal.value.found
    read = vf.import_strategy(live("experts.down_proj"))
    assert any("experts.down_proj" in place for place in read.strategy.rules)


@pytest.mark.parametrize(("trainer", "more"), [
    ("ms-swift", {"lorap_lr_ratio": 4.0, "tuner_type": "lora"}),
    ("unsloth", {"loraplus_lr_ratio": 4.0}),
    ("unsloth", {"layers_to_transform": [1]}),
])  # fmt: skip
def test_a_router_is_refused_by_its_name_beside_settings_that_look_at_every_adapter(trainer, more):
    with pytest.raises(NotExpressible) as refusal:
        vf.import_strategy({**in_words_of(trainer, ["mlp.gate.weight"], ["q_proj"]), **more}, TREE, trainer)
    assert ROUTER in refusal.value.found
