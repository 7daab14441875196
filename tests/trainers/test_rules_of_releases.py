"""What the published releases do with settings on architectures outside the kept runs, as `make conformance` found it."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers import llamafactory, ms_swift, peft_config

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {**SMALL, "num_key_value_heads": 2, "vocab_size": 96, "head_dim": 8, "pad_token_id": 0}
TOWER = {**SMALL, "image_size": 16, "patch_size": 8}


@cache
def tiny(model_type: str) -> ModuleTree:
    configs: dict[str, dict[str, Any]] = {
        "idefics": {
            **SMALL, "vocab_size": 96, "additional_vocab_size": 4, "cross_layer_interval": 1,
            "vision_config": {"embed_dim": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
            "perceiver_config": {"resampler_depth": 1, "resampler_n_heads": 2, "resampler_head_dim": 8},
        },
        "idefics3": {"vision_config": TOWER, "text_config": {"model_type": "llama", **TEXT}},
        "gemma3": {"vision_config": {**TOWER, "vision_use_head": True}, "text_config": TEXT, "mm_tokens_per_image": 4},
        "fuyu": {"text_config": {"model_type": "persimmon", **TEXT}, **SMALL, "patch_size": 4},
    }  # fmt: skip
    return vf.read_tree({"model_type": model_type, **configs[model_type]})


def test_llamafactory_trains_nothing_that_the_model_itself_switches_off():
    tree = tiny("idefics")
    found = llamafactory.simulate({"finetuning_type": "full"}, tree).trainable
    assert "model.layers.0.self_attn.q_proj.weight" in tree.born_frozen
    assert found
    assert not found & tree.born_frozen


def test_what_a_person_froze_in_a_live_model_is_not_taken_for_the_models_own_doing():
    model = vf.demo().model
    model.requires_grad_(False)
    assert not vf.read_tree(model).born_frozen


def test_ms_swift_passes_over_the_output_layer_of_torchs_attention_and_peft_alone_does_not():
    tree = tiny("gemma3")
    (head,) = [n.path for n in tree.nodes if n.class_name == "NonDynamicallyQuantizableLinear"]
    flags = {"tuner_type": "lora", "target_regex": r".*out_proj"}
    assert head not in ms_swift.simulate(flags, tree).lora
    assert head in peft_config.simulate({"target_modules": r".*out_proj"}, tree).lora


def test_lora_llm_stops_where_the_model_has_no_attribute_for_its_connector():
    flags = {"tuner_type": "lora_llm"}
    with pytest.raises(TrainerRefuses, match="connector"):
        ms_swift.simulate(flags, tiny("idefics3"))
    assert ms_swift.simulate(flags, published.tree("llava")).lora


@pytest.mark.parametrize(("kind", "factor"), [("lora", 8.0), ("lora_llm", 1.0)])
def test_only_its_own_wrapper_of_peft_knows_ms_swifts_loraplus(kind, factor):
    flags = {"tuner_type": kind, "lorap_lr_ratio": 8.0, "learning_rate": 1e-4}
    lr = ms_swift.simulate(flags, published.tree("llava")).lr
    assert {lr[name] for name in lr if name.endswith(".lora_B")} == {1e-4 * factor}
    assert {lr[name] for name in lr if name.endswith(".lora_A")} == {1e-4}


def test_ms_swifts_loraplus_speeds_up_norms_and_slows_down_adapters_of_embeddings():
    tree = published.tree("llava")
    flags = {"tuner_type": "lora", "lorap_lr_ratio": 8.0, "learning_rate": 1e-4, "modules_to_save": ["all-norm"]}
    lr = ms_swift.simulate({**flags, "target_modules": ["all-linear", "all-embedding"]}, tree).lr
    assert lr["model.language_model.norm.weight"] == pytest.approx(8e-4)
    assert lr["model.language_model.embed_tokens.lora_B"] == 1e-6


def test_ms_swift_refuses_a_rate_per_part_when_nothing_trains():
    shut = {"tuner_type": "full", "freeze_llm": True, "freeze_vit": True, "freeze_aligner": True}
    with pytest.raises(TrainerRefuses, match="empty parameter list"):
        ms_swift.simulate({**shut, "vit_lr": 1e-6}, published.tree("llava"))
    assert not ms_swift.simulate(shut, published.tree("llava")).names


def test_peft_stops_when_a_copied_name_is_the_end_of_an_adapted_layers_name():
    flags = {"target_modules": ["vision_embed_tokens", "dense"], "modules_to_save": ["embed_tokens"]}
    with pytest.raises(TrainerRefuses, match="adapter and to be trained as a copy"):
        peft_config.simulate(flags, tiny("fuyu"))
    assert peft_config.simulate({**flags, "modules_to_save": ["language_model.embed_tokens"]}, tiny("fuyu")).copied


def test_peft_stops_at_dora_on_stacks_of_experts():
    flags = {"target_parameters": ["experts.down_proj"], "r": 4}
    tree = published.tree("qwen3_vl_moe")
    assert peft_config.simulate(flags, tree).lora
    with pytest.raises(TrainerRefuses, match="DoRA"):
        peft_config.simulate({**flags, "use_dora": True}, tree)
