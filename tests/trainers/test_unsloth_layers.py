"""The layers that Unsloth's words reach are those that unsloth_zoo 2026.10.9 itself chose, on families beyond the kept runs."""

from __future__ import annotations

from typing import Any

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers import unsloth, unsloth_layers

MODELS = [case["model"] for case in published.layer_choices()]
DEFAULTS = {name: flag.default for name, flag in unsloth.FLAGS.items()}


def kept(model: str) -> tuple[ModuleTree, list[dict[str, Any]]]:
    (found,) = [case for case in published.layer_choices() if case["model"] == model]
    return vf.read_tree(found["config"], title=model), found["cases"]


def wrong_choices(tree: ModuleTree, cases: list[dict[str, Any]]) -> list[str]:
    wrong = []
    for case in cases:
        try:
            chosen: Any = unsloth_layers.chosen_layers({**DEFAULTS, **case["flags"]}, case["target_modules"], tree)
        except TrainerRefuses:
            chosen = "stops"
        if chosen != case["layers"]:
            wrong.append(f"{case['flags']} {case['target_modules']}")
    return wrong


@pytest.mark.check("N25")
@pytest.mark.parametrize("model", MODELS)
def test_its_words_reach_the_layers_that_it_chose(model, figure):
    wrong = wrong_choices(*kept(model))
    figure(len(wrong))
    assert wrong == []


@pytest.mark.control("N25")
@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        ("gemma4", "_family_patterns", lambda *_: []),
        ("nemotron_h_omni", "_READ_BY_MAMBA", ()),
        ("qwen2_5_omni_thinker", "_PARTS", {**unsloth_layers._PARTS, "finetune_audio_layers": ("audio",)}),
        ("blip-2", "_word_patterns", lambda parts, kinds, leaves, language: [
            rf".*?(?:{'|'.join(parts)}).*?(?:{'|'.join(kinds)}).*?(?:{'|'.join(leaves)}).*?"]),
    ],
)  # fmt: skip
def test_a_rule_without_one_of_its_branches_is_caught(model, name, value, monkeypatch):
    tree, cases = kept(model)
    monkeypatch.setattr(unsloth_layers, name, value)
    assert wrong_choices(tree, cases)


def tree_of(model: str) -> ModuleTree:
    return kept(model)[0]


def test_the_inner_layer_of_gemma_4s_clipped_layers_is_adapted():
    found = unsloth.simulate({"finetune_language_layers": False}, tree_of("gemma4"))
    inner = "model.vision_tower.encoder.layers.0.self_attn.q_proj.linear"
    assert inner in found.lora
    assert inner.removesuffix(".linear") not in found.lora


def test_audio_alone_stops_on_qwen_omni_and_runs_on_gemma_4():
    alone = {"finetune_audio_layers": True, "finetune_vision_layers": False, "finetune_language_layers": False}
    with pytest.raises(TrainerRefuses, match="no layers to finetune"):
        unsloth.simulate(alone, tree_of("qwen2_5_omni_thinker"))
    assert all(
        ".audio_tower." in f".{path}" or "embed_audio" in path
        for path in unsloth.simulate(alone, tree_of("gemma4")).lora
    )


def test_experts_get_adapters_unasked_where_mlp_layers_do_and_gates_do_not():
    tree = tree_of("qwen3_omni_moe_thinker")
    found = unsloth.simulate({"finetune_vision_layers": False}, tree).lora
    stacks = {n.path for n in tree.nodes if n.adaptable == "experts" and "language_model" in n.path}
    assert stacks
    assert stacks <= found.keys()
    assert not any(path.endswith((".gate", ".router")) for path in found)
    attention = unsloth.simulate({"finetune_vision_layers": False, "finetune_mlp_modules": False}, tree).lora
    assert attention
    assert not stacks & attention.keys()


def test_embeddings_that_are_trained_whole_have_a_group_and_a_rate_of_their_own():
    given = {
        "target_modules": ["q_proj", "embed_tokens", "lm_head"],
        "learning_rate": 2e-4,
        "embedding_learning_rate": 5e-6,
    }
    found = unsloth.simulate(given, published.tree("llava"))
    assert {found.lr[n] for n in found.trainable} == {5e-6}
    assert {found.lr[f"{path}.lora_B"] for path in found.lora} == {2e-4}
    strategy = vf.import_strategy(given, published.tree("llava"), trainer="unsloth")
    rates = {name: g.lr for g in vf.resolve(strategy, published.tree("llava")).optimizer_groups for name in g.params}
    assert rates == dict(found.lr)


def test_without_language_layers_the_head_is_a_target_like_any():
    given = {"target_modules": ["q_proj", "lm_head"], "finetune_language_layers": False}
    assert not unsloth.simulate(given, published.tree("llava")).trainable
    assert unsloth.simulate({**given, "finetune_language_layers": True}, published.tree("llava")).trainable
