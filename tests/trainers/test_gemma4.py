"""Gemma 4's clipped layers: ms-swift, Unsloth and Axolotl adapt the layer inside, LLaMA-Factory and PEFT alone stop."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers import axolotl, llamafactory, ms_swift, peft_config

SIMULATED = {"ms-swift": ms_swift.simulate, "llamafactory": llamafactory.simulate}


@cache
def tiny() -> ModuleTree:
    return vf.read_tree(published.gemma4()["config"], title="gemma4")


def wrong_runs(trainer: str) -> list[str]:
    wrong = []
    for case in published.gemma4()["cases"]:
        if case["system"] != trainer:
            continue
        try:
            found: Any = SIMULATED[trainer](case["flags"], tiny())
        except TrainerRefuses:
            wrong += [] if "error" in case else [f"refused: {case['flags']}"]
            continue
        owners = {p.name: p.owner for p in tiny().parameters}
        same = "error" not in case and (
            {owners[name] for name in case["full"]} == found.trainable
            and set(case["lora"]) == set(found.lora)
            and {owners.get(name, name): lr for name, lr in case["lr"].items()} == pytest.approx(dict(found.lr))
        )
        wrong += [] if same else [f"{case['flags']}"]
    return wrong


@pytest.mark.check("N25")
@pytest.mark.parametrize("trainer", SIMULATED)
def test_the_rule_selects_what_the_trainer_selected(trainer, figure):
    wrong = wrong_runs(trainer)
    figure(len(wrong))
    assert wrong == []


@pytest.mark.control("N25")
def test_a_rule_that_takes_the_wrapper_for_a_layer_is_caught(monkeypatch):
    monkeypatch.setattr(ms_swift, "_WRAPPERS", ())
    assert wrong_runs("ms-swift")


def test_an_import_of_ms_swift_puts_adapters_on_the_inner_layers():
    given = {"tuner_type": "lora", "freeze_vit": False, "freeze_aligner": False}
    strategy = vf.import_strategy(given, tiny(), trainer="ms-swift")
    adapted = vf.resolve(strategy, tiny()).lora_targets
    assert "model.vision_tower.encoder.layers.0.self_attn.q_proj.linear" in adapted
    assert "model.audio_tower.layers.0.feed_forward1.ffw_layer_1.linear" in adapted


def test_axolotls_patch_of_peft_adapts_the_inner_layers():
    # src/axolotl/loaders/adapter.py of 0.18.0 redirects to the wrapper's child before every LoRA.
    found = axolotl.simulate({"adapter": "lora", "lora_target_modules": ["q_proj"]}, tiny()).lora
    assert "model.vision_tower.encoder.layers.0.self_attn.q_proj.linear" in found
    assert not any(path.endswith("vision_tower.encoder.layers.0.self_attn.q_proj") for path in found)


def test_peft_alone_stops_at_the_wrapper():
    with pytest.raises(TrainerRefuses, match="Gemma4ClippableLinear"):
        peft_config.simulate({"target_modules": [".*vision_tower.*q_proj", "q_proj"]}, tiny())
