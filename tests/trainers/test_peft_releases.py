"""What differs between releases of PEFT, and what an import says of what it cannot keep."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.trainers import llamafactory, peft_config
from vlmfreeze_widgets.trainers.selection import import_note


@pytest.mark.parametrize(("version", "more"), [("0.18.1", True), ("0.21.2", False)])
def test_bias_all_means_the_word_or_the_ending_by_release(version, more):
    config = {"model_type": "blip-2", **published.configs()["blip-2"]}
    config["text_config"] = {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 2,
                             "num_heads": 4, "vocab_size": 96, "pad_token_id": 0}  # fmt: skip
    tree = vf.read_tree({**config, "use_decoder_only_language_model": False})
    given = {"target_modules": ["q"], "bias": "all", "peft_version": version}
    inside = [n for n in peft_config.simulate(given, tree).trainable if not n.endswith("bias")]
    assert bool(inside) == more
    assert all("relative_attention_bias" in name for name in inside)


def test_a_changed_vocabulary_trains_the_input_embeddings_and_the_head_alone():
    tree = vf.read_tree(published.gemma4()["config"])
    found = llamafactory.simulate(
        {"finetuning_type": "lora", "lora_target": "o_proj", "freeze_vision_tower": True, "resize_vocab": True}, tree
    )
    assert any("embed_tokens.weight" in name for name in found.trainable)
    assert not any("per_layer" in name for name in found.trainable)


def test_a_live_model_with_trained_tokens_is_read_and_says_what_it_cannot_keep():
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": [1, 2]})
    found = vf.import_strategy(get_peft_model(vf.demo().model, lora))
    assert any("trainable_token_indices" in note for note in found.notes)


def test_a_note_of_an_import_says_on_which_side_the_adapters_are():
    assert import_note("head: carries LoRA and should not: 1 (lm_head)") == (
        "Not kept: head: carries LoRA there and not here: 1 (lm_head)."
    )
