"""Weight decay: an import spares what the trainer spares, an export says where the trainer spares otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from tests.trainers.test_published_runs import OTHER_MODEL
from vlmfreeze_widgets.core.tree.tree import ModuleTree
from vlmfreeze_widgets.trainers import decay_rule, decays
from vlmfreeze_widgets.trainers.selection import selection_of

KEYS = {"llamafactory": "llamafactory", "ms-swift": "ms-swift", "llava-haotian": "llava", "zero_nlp": "zero-nlp"}
CONFIGS = ("llava", "qwen2_5_vl", "mllama", "internvl", "gemma3", "florence2")
UNIFORM = {"projector": "full", "vision_tower": "full"}


def decays_of(strategy: Any, tree: ModuleTree) -> dict[str, float]:
    return dict(selection_of(vf.resolve(strategy, tree)).decay)


def kept_decays(case: dict[str, Any], tree: ModuleTree) -> dict[str, float]:
    owners = {p.name: p.owner for p in tree.parameters}
    found = {}
    for group in case["optimizer_groups"]:
        for name in group["params"]:
            plain = name.replace(".modules_to_save.", ".")
            found[owners.get(plain, plain)] = group["weight_decay"]
    return found


def wrong_imports(trainer: str, configs: tuple[str, ...] = CONFIGS) -> list[str]:
    wrong = []
    for case in published.cases(trainer):
        if "optimizer_groups" not in case or case["config"] not in configs or case["case"] in OTHER_MODEL:
            continue
        tree = published.tree(case["config"])
        strategy = vf.import_strategy(published.flags_of(case), tree, trainer=KEYS[trainer])
        if decays_of(strategy.strategy, tree) != kept_decays(case, tree):
            wrong.append(f"{case['config']} {case['flags']}")
    return wrong


@pytest.mark.check("N25")
@pytest.mark.parametrize("trainer", KEYS)
def test_an_import_decays_what_the_trainer_decayed(trainer, figure):
    wrong = wrong_imports(trainer)
    figure(len(wrong))
    assert wrong == []


@pytest.mark.control("N25")
@pytest.mark.parametrize("trainer", ["llamafactory", "llava-haotian"])
def test_one_decay_for_all_is_caught(trainer, monkeypatch):
    monkeypatch.setattr(decay_rule, "_inside", lambda *_: False)
    monkeypatch.setattr(decay_rule, "_NAMES", decay_rule.re.compile("(?!x)x"))
    assert wrong_imports(trainer, ("llava",))


def test_rms_norms_of_other_names_and_gates_are_decayed():
    qwen, mllama = published.tree("qwen2_5_vl"), published.tree("mllama")
    every = {
        "finetuning_type": "full",
        "freeze_vision_tower": False,
        "freeze_multi_modal_projector": False,
        "weight_decay": 0.1,
    }
    found = decays_of(vf.import_strategy(every, qwen).strategy, qwen)
    assert found["model.visual.blocks.0.norm1.weight"] == found["model.visual.merger.ln_q.weight"] == 0.1
    assert (
        found["model.language_model.layers.0.input_layernorm.weight"] == found["model.visual.merger.mlp.0.bias"] == 0.0
    )
    gates = {
        name: d for name, d in decays_of(vf.import_strategy(every, mllama).strategy, mllama).items() if "gate" in name
    }
    assert {d for name, d in gates.items() if not name.endswith("bias")} == {0.1}


def test_an_imported_decay_is_written_as_a_pattern_and_goes_back_as_exact():
    tree = published.tree("llava")
    given = {"finetuning_type": "full", "freeze_multi_modal_projector": False, "weight_decay": 0.1}
    strategy = vf.import_strategy(given, tree).strategy
    assert len(strategy.weight_decay) == 2
    for to in ("llamafactory", "ms-swift", "trainer"):
        done = vf.export(strategy, tree, to=to)
        assert done.exact, (to, done.notes)
        assert not any("weight decay" in note or "spares" in note for note in done.notes)


@pytest.mark.parametrize("to", ["llamafactory", "ms-swift", "zero-nlp"])
def test_one_decay_for_all_is_not_exact_where_biases_and_norms_are_spared(to):
    tree = published.tree("llava")
    plan = {"vision_tower": "full", "projector": "full", "language_model": "full", "embeddings": "full", "head": "full"}
    done = vf.export(vf.Strategy(plan, lr=1e-5, weight_decay=0.1), tree, to=to)
    assert not done.exact
    assert any("weight decay 0 instead of 0.1" in note for note in done.notes)
    assert vf.export(vf.Strategy(plan, lr=1e-5), tree, to=to).exact


@pytest.mark.parametrize("to", ["trainer", "trl"])
def test_the_script_decays_as_the_plan_says_and_its_notes_say_nothing_else(to):
    tree = published.tree("llava")
    strategy = vf.Strategy(UNIFORM, lr=1e-5, weight_decay={"": 0.1, "re:.*bias": 0.0, "projector": 0.05})
    done = vf.export(strategy, tree, to=to)
    assert done.exact
    assert not any("spares" in note or "weight decay" in note for note in done.notes)
    rates = json.loads(done.files["plan.json"])["rates"]
    assert rates["model.multi_modal_projector.linear_1.bias"][1] == 0.0
    assert rates["model.multi_modal_projector.linear_1.weight"][1] == 0.05


def test_single_names_are_written_where_no_pattern_fits():
    tree = published.tree("llava")
    names = [p.name for p in tree.parameters_of["projector"]]
    selection = selection_of(
        vf.resolve(vf.Strategy({"projector": "full"}, weight_decay={names[0]: 0.3, "": 0.1}), tree)
    )
    assert decays.decay_rules(selection, tree) == {"": 0.1, names[0]: 0.3}
