"""Axolotl's freezing is that of its own functions, run on tiny models; Unsloth's exported call is read back."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import BadConfig
from vlmfreeze_widgets.trainers import axolotl
from vlmfreeze_widgets.trainers.selection import selection_of

LLAVA = published.tree("llava")


def wrong_of_axolotl() -> list[str]:
    wrong = []
    for case in published.cases("axolotl"):
        found = axolotl.simulate(case["flags"], published.tree(case["config"]))
        said = published.disagreement(found, case)
        wrong += [f"{case['config']} {case['flags']}: {said}"] if said else []
    return wrong


@pytest.mark.check("N25")
def test_axolotls_freezing_is_that_of_its_own_functions(figure):
    wrong = wrong_of_axolotl()
    figure(len(wrong))
    assert wrong == []


@pytest.mark.control("N25")
def test_a_word_that_is_missing_in_axolotls_list_is_caught(monkeypatch):
    monkeypatch.setattr(axolotl, "MM_MODULES", ("vision_tower", "visual"))
    assert wrong_of_axolotl()


def test_freeze_mm_modules_closes_adapters_too():
    read = vf.import_strategy({"adapter": "lora", "lora_target_linear": True, "freeze_mm_modules": True}, LLAVA)
    assert {part for part, tuning in read.strategy.rules.items() if tuning != vf.FROZEN} == {"language_model"}


@pytest.mark.parametrize(
    "rules", [{"language_model": vf.Lora(8, 16)}, {"vision_tower": vf.Lora(8, 16, targets=("fc1",)), "head": "full"}]
)
def test_the_call_that_is_written_for_unsloth_comes_back(rules, tmp_path):
    plan = vf.resolve(vf.Strategy(rules, 1e-4), LLAVA)
    vf.export(plan, to="unsloth", folder=tmp_path)
    read = vf.import_strategy(tmp_path / "unsloth_model.py", LLAVA)
    assert read.trainer == "Unsloth"
    assert set(selection_of(vf.resolve(read.strategy, LLAVA)).names) == set(selection_of(plan).names)


def test_a_call_with_code_in_it_is_refused():
    with pytest.raises(BadConfig, match="Give a dict"):
        vf.import_strategy("model = FastVisionModel.get_peft_model(model, r=__import__('os').getpid())", LLAVA)
