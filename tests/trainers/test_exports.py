"""What is exported trains what the plan trains, or says what it does otherwise: checked on random strategies, against PEFT itself,
and with rules that are wrong on purpose.
"""

from __future__ import annotations

import ast
import dataclasses
import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.tiers import examples
from tests.tiny import tiny_llava
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import (
    BadConfig,
    CannotSave,
    InvalidStrategy,
    NotExpressible,
    PlanRefused,
    UnknownTarget,
)
from vlmfreeze_widgets.core.strategy.plan import Plan
from vlmfreeze_widgets.trainers import registry
from vlmfreeze_widgets.trainers.registry import TRAINERS
from vlmfreeze_widgets.trainers.selection import Exported, differences, selection_of
from vlmfreeze_widgets.trainers.sources import read_settings

FEW = (
    "llava-next",
    "qwen-vl-finetune",
    "qwen-vl-series-finetune",
    "internvl",
    "trl-sft",
)  # where 60 drawings tell enough
FEW_CHOICES = ("internvl", "llava", "llava-next", "zero-nlp")
MODELS = ("llava", "qwen2_5_vl", "qwen2_vl--tied", "gemma3", "llava_onevision", "mllama", "internvl")
PARTS = ("vision_tower", "projector", "language_model", "embeddings", "head")
LORA = vf.Lora(rank=8, alpha=16)
tunings = st.sampled_from(["frozen", "full", LORA, LORA, vf.Lora(4, 8), vf.Lora(8, 16, targets=("q_proj", "v_proj"))])
plain = st.sampled_from(["frozen", "full", LORA])
rates = st.sampled_from([{"": 1e-4}, {"": 1e-4}, {"": 2e-5, "projector": 1e-3}, {"": 1e-5, "vision_tower": 2e-6}, {}])
places = st.sampled_from(["language_model[-1:]", "language_model[:1]", "vision_tower[-1:]", "*.q_proj", "re:.*norm.*"])


@st.composite
def plans(draw: st.DrawFn, models: tuple[str, ...] = MODELS) -> Plan:
    """A plan that can be applied, of components and now and then of blocks, on one of the tiny models."""
    tree = published.tree(draw(st.sampled_from(models)))
    one = draw(st.booleans())
    rules: dict[str, Any] = {part: draw(plain if one else tunings) for part in PARTS if part in tree.components}
    if draw(st.integers(0, 3)) == 0:
        rules[draw(places)] = draw(st.sampled_from(["frozen", "full"]))
    lr = {part: value for part, value in draw(rates).items() if not part or part in tree.components}
    try:
        plan = vf.resolve(vf.Strategy(rules, lr), tree)
        plan.check()
    except (PlanRefused, UnknownTarget, InvalidStrategy):
        return draw(plans(models))
    return plan


def drawn_for(to: str, models: tuple[str, ...] = MODELS) -> st.SearchStrategy[Plan]:
    """Plans on models that a trainer loads; where it has little to choose from, parts in full at one rate as well."""
    loads = TRAINERS[to].loads
    found = plans(tuple(m for m in models if not loads or m.partition("--")[0] in loads))
    if to not in FEW_CHOICES:
        return found
    tree, llm = published.tree("internvl" if to == "internvl" else "llava"), ("language_model", "embeddings", "head")
    rules = [
        {"projector": "full"},
        dict.fromkeys(llm, "full"),
        dict.fromkeys(("projector", *llm), "full"),
        {"vision_tower[-1:]": "full"},
        dict.fromkeys(PARTS, "full"),
    ]
    return found | st.sampled_from([vf.resolve(vf.Strategy(rule, 1e-5), tree) for rule in rules])


def read_back(done: Exported, to: str) -> dict[str, Any]:
    """The settings as the target's own loader gives them: PyYAML, JSON, or words of a command line."""
    (name, text), *_ = done.files.items()
    if name.endswith(".yaml"):
        return dict(yaml.safe_load(text))
    if name.endswith(".json"):
        return dict(json.loads(text))
    if name.endswith(".py"):
        calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
        return {k.arg: ast.literal_eval(k.value) for call in calls for k in call.keywords if k.arg}
    return read_settings(text)


def wrong_export(plan: Plan, to: str) -> tuple[bool, list[str]]:
    """(exact, how the files differ from the plan under the trainer's rule)."""
    try:
        done = vf.export(plan, to=to)
    except NotExpressible:
        return False, []
    rate = {"learning_rate": done.settings["learning_rate"]} if to in ("peft", "unsloth") else {}
    found = TRAINERS[to].simulate({**read_back(done, to), **rate}, plan.tree)
    wrong = differences(selection_of(plan), found, plan.tree)
    return done.exact, wrong if done.exact else [] if wrong else ["said not to be exact, and is"]


@pytest.mark.check("N25", "B15")
@pytest.mark.parametrize("to", TRAINERS)
def test_what_is_said_to_be_exact_selects_what_the_plan_selects(to, figure):
    seen: list[bool] = []

    few = examples(90 if to in FEW else 240)

    @settings(max_examples=few, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(plan=drawn_for(to))
    def check(plan: Plan) -> None:
        exact, wrong = wrong_export(plan, to)
        seen.append(exact)
        assert wrong == []

    check()
    print(f"{to}: {sum(seen)} of {len(seen)} random strategies are exact")
    figure(0)  # names in only one of both; the property would have failed
    assert any(seen), "no export was exact: the property says nothing"


@pytest.mark.control("N25")
def test_a_rule_of_selection_that_is_wrong_is_caught(monkeypatch):
    right = TRAINERS["llamafactory"]

    def forgets_the_head(flags, tree):
        found = right.simulate(flags, tree)
        return dataclasses.replace(found, trainable=found.trainable - {"lm_head.weight"})

    # The exporter believes a rule that forgets the head; the true one then sees the head train.
    monkeypatch.setattr(
        registry, "TRAINERS", {**TRAINERS, "llamafactory": dataclasses.replace(right, simulate=forgets_the_head)}
    )
    tree = published.tree("llava")
    plan = vf.resolve({"projector": "full", "language_model": "full", "embeddings": "full"}, tree)
    plan = vf.resolve(vf.Strategy(plan.strategy.rules, 1e-5), tree)
    exact, wrong = wrong_export(plan, "llamafactory")
    assert exact
    assert any("lm_head" in line for line in wrong)


@pytest.mark.check("N25", "N27", "B15")
@pytest.mark.parametrize(
    "rules",
    [
        {"language_model": LORA},
        {"language_model": LORA, "projector": "full"},
        {"vision_tower": vf.Lora(4, 8), "language_model": vf.Lora(16, 32, targets=("q_proj", "v_proj"))},
        {"language_model[-1:]": LORA, "head": "full"},
    ],
)
def test_peft_itself_reads_the_config_and_adapts_the_places_of_the_plan(rules, tmp_path, figure):
    from peft import LoraConfig, get_peft_model

    model = tiny_llava()
    plan = vf.resolve(vf.Strategy(rules, 1e-4), vf.read_tree(model))
    vf.export(plan, to="peft", folder=tmp_path)
    wrapped = get_peft_model(model, LoraConfig.from_pretrained(tmp_path))
    names = [n.removeprefix("base_model.model.") for n, p in wrapped.named_parameters() if p.requires_grad]
    adapted = {n.partition(".lora_")[0] for n in names if ".lora_" in n}
    full = {n.replace(".modules_to_save.default", "") for n in names if ".lora_" not in n}
    figure(len(adapted ^ set(plan.lora_targets)) + len(full ^ plan.trainable))
    assert adapted == set(plan.lora_targets)
    assert full == plan.trainable
    ranks = {n.partition(".lora_")[0]: p.shape[0] for n, p in wrapped.named_parameters() if ".lora_A." in n}
    assert {n.removeprefix("base_model.model."): r for n, r in ranks.items()} == {
        path: lora.rank for path, lora in plan.lora_targets.items()
    }


@pytest.mark.check("N27")
@pytest.mark.parametrize("to", ["llamafactory", "ms-swift", "peft"])
@pytest.mark.parametrize("name", MODELS)
def test_lora_on_the_language_model_adapts_nothing_outside_it(name, to, figure):
    tree = published.tree(name)
    done = vf.export(vf.Strategy({"language_model": LORA}, 1e-4), tree, to)
    found = TRAINERS[to].simulate(done.settings, tree)
    outside = [path for path in found.lora if tree.component_of(path) != "language_model"]
    figure(len(outside))
    assert outside == []
    assert done.exact


HARD = [1e-5, 5e-324, 1.5e16, 1e22, 0.1, "no", "on", "y", "012", "12:30:45", "# not a comment", "key: value", "null", "~", "1e-5",
        "0x1f", "2026-11-21", "", " ", "a, b", "[x]", "{x}", "&a", "*a", "!!python/object:x", "'", '"', "\\", "é", "🦙", "=", "@x",
        "%x", "`", "?", "-", "line\nbreak", "\t", "yes", "True", ".5", "1_000", "0o17", "<<", "\x07"]  # fmt: skip


@pytest.mark.check("B16")
@pytest.mark.parametrize("value", HARD, ids=repr)
@pytest.mark.parametrize("to", ["llamafactory", "ms-swift"])
def test_a_value_that_yaml_bends_comes_back_as_it_was(value, to, figure):
    tree = published.tree("llava")
    done = vf.export(vf.Strategy({"projector": "full"}, 1e-3), tree, to, output_dir=value, tags=[value, value])
    text = next(iter(done.files.values()))
    for load in (yaml.safe_load, published.yaml_1_2):
        read = load(text)
        figure(type(read["output_dir"]) is not type(value))
        assert read["output_dir"] == value
        assert type(read["output_dir"]) is type(value)
        assert read["tags"] == [value, value]
        assert read["learning_rate"] == 1e-3
        assert isinstance(read["learning_rate"], float)


@pytest.mark.check("B16")
@settings(max_examples=examples(200), deadline=None)
@given(value=st.text(max_size=30) | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans())
def test_any_value_comes_back_from_both_kinds_of_yaml_as_it_was(value):
    from vlmfreeze_widgets.trainers.yaml_lines import yaml_lines

    text = yaml_lines({"key": value, "keys": [value]})
    for load in (yaml.safe_load, published.yaml_1_2):
        assert load(text) == {"key": value, "keys": [value]}
        assert type(load(text)["key"]) is type(value)


def test_strict_refuses_and_names_the_parts_that_cannot_be_said():
    tree = published.tree("llava")
    wanted = vf.Strategy({"vision_tower": "full", "projector": "full"}, {"": 1e-5, "vision_tower": 2e-6})
    with pytest.raises(NotExpressible, match="projector: learns at 2e-6 instead of 1e-5"):
        vf.export(wanted, tree, "llamafactory", strict=True)
    loose = vf.export(wanted, tree, "llamafactory")
    assert not loose.exact
    assert any("projector" in note and "2e-6" in note for note in loose.notes)


@pytest.mark.check("X18")
def test_files_are_written_and_none_is_written_over(tmp_path):
    tree = published.tree("llava")
    wanted = vf.Strategy({"projector": "full"}, 1e-3)
    vf.export(wanted, tree, "llamafactory", folder=tmp_path / "new")
    assert (tmp_path / "new" / "llamafactory.yaml").is_file()
    with pytest.raises(CannotSave, match="there already"):
        vf.export(wanted, tree, "llamafactory", folder=tmp_path / "new")


def test_a_setting_of_the_persons_own_that_decides_is_checked_too():
    tree = published.tree("llava")
    done = vf.export(vf.Strategy({"projector": "full"}, 1e-3), tree, "llamafactory", freeze_vision_tower=False)
    assert not done.exact


@pytest.mark.check("N26")
def test_peft_keeps_tied_embeddings_one_tensor_with_the_exported_config(tmp_path):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForImageTextToText

    tree = published.tree("qwen2_vl--tied")
    done = vf.export(vf.Strategy({"language_model": LORA, "embeddings": "full"}, 1e-4), tree, "peft", folder=tmp_path)
    config = AutoConfig.for_model("qwen2_vl", **published.configs()["qwen2_vl--tied"])
    wrapped = get_peft_model(AutoModelForImageTextToText.from_config(config), LoraConfig.from_pretrained(tmp_path))
    copies = {
        name: p.data_ptr()
        for name, p in wrapped.named_parameters(remove_duplicate=False)
        if p.requires_grad and ".lora_" not in name
    }
    assert done.exact
    assert len(copies) == 2
    assert len(set(copies.values())) == 1


@pytest.mark.control("N26")
@pytest.mark.parametrize("to", ["llamafactory", "ms-swift", "axolotl"])
def test_a_trainer_that_tears_tied_embeddings_apart_is_not_called_exact(to):
    tree = published.tree("qwen2_vl--tied")
    done = vf.export(vf.Strategy({"language_model": LORA, "embeddings": "full"}, 1e-4), tree, to)
    assert not done.exact
    assert any("share one tensor" in note for note in done.notes)


def test_a_name_that_python_would_read_as_another_is_no_argument():
    odd = {"x_º": 1}  # written out as an argument, Python itself would turn it into x_o
    with pytest.raises(BadConfig, match="no such argument"):
        vf.export(vf.Strategy({"language_model": LORA}, 1e-4), published.tree("llava"), "unsloth", **odd)
