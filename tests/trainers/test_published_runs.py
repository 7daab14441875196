"""Each trainer's rule, simulated on names, selects what the trainer's own code selected: 2,800 runs on 18 architectures."""

from __future__ import annotations

from typing import Any

import pytest

from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.trainers import (
    llamafactory,
    llava,
    ms_swift,
    peft_config,
    peft_rule,
    unsloth,
    unsloth_layers,
    zero_nlp,
)

SIMULATED = {
    "llamafactory": llamafactory.simulate,
    "ms-swift": ms_swift.simulate,
    "llava-haotian": llava.simulate,
    "zero_nlp": zero_nlp.simulate,
    "peft": peft_config.simulate,
    "unsloth": unsloth.simulate,
}
PAIRS = sorted({(trainer, case["config"]) for trainer in SIMULATED for case in published.cases(trainer)})
# LLaVA's own "linear" projector has one layer where the tree it is compared with has two.
OTHER_MODEL = {"vicuna_tune-proj_linear"}


def wrong_runs(trainer: str, simulate: Any, config: str | None = None) -> list[str]:
    wrong = []
    for case in published.cases(trainer):
        if config not in (None, case["config"]) or case["case"] in OTHER_MODEL:
            continue
        said = verdict(simulate, case)
        if said:
            wrong.append(f"{case['config']} {case['case']} {case['flags']}: {said}")
    return wrong


def verdict(simulate: Any, case: dict[str, Any]) -> list[str]:
    try:
        found = simulate(published.flags_of(case), published.tree(case["config"]))
    except TrainerRefuses as error:
        return [] if "error" in case else [f"refused: {error}"]
    return (
        published.disagreement(found, case)
        if "error" not in case
        else [f"ran; the trainer: {case['error']['message'][:99]}"]
    )


@pytest.mark.check("N25")
@pytest.mark.parametrize(("trainer", "config"), PAIRS)
def test_the_simulated_rule_selects_what_the_trainer_selected(trainer, config, figure):
    wrong = wrong_runs(trainer, SIMULATED[trainer], config)
    figure(len(wrong))
    assert wrong == []


def dotted(name: str, keys: Any) -> bool:
    return any(f".{key}." in f".{name}." for key in keys)


BROKEN = {
    "llamafactory": (llamafactory, "contains_any", dotted),
    "ms-swift": (ms_swift, "starts_with_any", lambda name, keys: any(name == key for key in keys)),
    "llava-haotian": (llava, "is_linear_by_class", lambda node: node.adaptable != ""),
    "zero_nlp": (
        zero_nlp,
        "chosen",
        lambda every, wanted: frozenset(n for n in every if wanted(n) and "bias" not in n),
    ),
    "unsloth": (unsloth_layers, "_KINDS", dict.fromkeys(unsloth_layers._KINDS, ("attn",))),
    "peft": (
        peft_rule,
        "_ends_in_one",
        lambda path, wanted: any(path.endswith(name) and "vision" not in path for name in wanted),
    ),
}


@pytest.mark.control("N25")
@pytest.mark.parametrize("trainer", SIMULATED)
def test_a_rule_that_is_wrong_in_one_point_is_caught(trainer, monkeypatch):
    monkeypatch.setattr(*BROKEN[trainer])
    assert wrong_runs(trainer, SIMULATED[trainer], "llava")


SNAPSHOTS = {
    "llamafactory": llamafactory.simulate,
    "ms-swift": lambda flags, tree: ms_swift.simulate(flags, tree, version="4.6.0.dev0"),
}


def patterned(trainer: str) -> list[Any]:
    return [c for c in published.patterns()["cases"] if c["system"] == trainer]


@pytest.mark.check("N25")
@pytest.mark.parametrize("trainer", ["llamafactory", "ms-swift"])
def test_the_snapshots_of_the_sources_select_the_same(trainer, figure):
    wrong = []
    for case in patterned(trainer):
        tree = published.pattern_tree(case["model"])
        try:
            found = SNAPSHOTS[trainer](case["flags"], tree)
        except TrainerRefuses:
            wrong += [] if "error" in case else [f"refused: {case['flags']}"]
            continue
        if "error" in case:
            wrong.append(f"ran: {case['flags']}")
            continue
        names = {p.name for path in found.copied for p in tree.below(path)}
        same = (
            published.as_pattern(found.trainable - names) == set(case["full"])
            and published.as_pattern(names) == set(case["modules_to_save"])
            and published.as_pattern(found.lora) == set(case["lora"])
        )
        wrong += [] if same else [f"{case['model']} {case['flags']}"]
    figure(len(wrong))
    assert wrong == []
    assert patterned(trainer)
