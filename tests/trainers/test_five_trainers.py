"""LLaVA-NeXT, QwenLM's and 2U1's trainers for Qwen-VL, InternVL's own and TRL's flags: each rule selects what the trainer's own
code selected, 1,455 runs on tiny models; settings are found to be theirs by all their flags and the model; none is dropped.
"""

from __future__ import annotations

from typing import Any

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import BadConfig, TrainerRefuses
from vlmfreeze_widgets.trainers import internvl, llava_next, qwen_finetune, qwen_series, recognise, trl_flags
from vlmfreeze_widgets.trainers.selection import selection_of

RULES = {
    "llava-next": llava_next.simulate,
    "qwenlm": qwen_finetune.simulate,
    "2u1": qwen_series.simulate,
    "internvl": internvl.simulate,
    "trl": trl_flags.simulate,
}
KEYS = {
    "llava-next": "llava-next",
    "qwenlm": "qwen-vl-finetune",
    "2u1": "qwen-vl-series-finetune",
    "internvl": "internvl",
    "trl": "trl",
}
PAIRS = sorted({(name, case["config"]) for name in RULES for case in published.cases(name)})


def flags_of(case: dict[str, Any]) -> dict[str, Any]:
    """A run's flags, and the checkpoint that it began from where that decides."""
    return {**case["flags"], **({"base_checkpoint": case["base"]} if "base" in case else {})}


def wrong_runs(name: str, config: str | None = None) -> list[str]:
    wrong = []
    for case in published.cases(name):
        if config not in (None, case["config"]):
            continue
        try:
            found = RULES[name](flags_of(case), published.tree(case["config"]))
        except TrainerRefuses as error:
            said = [] if "error" in case else [f"refused: {error}"]
        else:
            said = published.disagreement(found, case) if "error" not in case else ["ran"]
        wrong += [f"{case['config']} {case['case']}: {said}"] if said else []
    return wrong


@pytest.mark.check("N25")
@pytest.mark.parametrize(("name", "config"), PAIRS)
def test_the_rule_selects_what_the_trainers_own_code_selected(name, config, figure):
    wrong = wrong_runs(name, config)
    figure(len(wrong))
    assert wrong == []


BROKEN = {
    "llava-next": (
        llava_next,
        "part_of",
        lambda name: "mm_vision_tower" if "vision_tower" in name else "mm_mlp_adapter",
    ),
    "qwenlm": (qwen_finetune, "_trains", lambda name, flags: flags["tune_mm_llm"] and "visual" not in name),
    "2u1": (qwen_series, "_is_merger", lambda name: ".merger." in name),
    "internvl": (internvl, "_blocks_opened", lambda first, tree: frozenset()),
    "trl": (trl_flags.peft_rule, "_ends_in_one", lambda path, wanted: path in wanted),
}


@pytest.mark.control("N25")
@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_wrong_in_one_point_is_caught(name, monkeypatch):
    monkeypatch.setattr(*BROKEN[name])
    assert wrong_runs(name)


@pytest.mark.check("N25")
@pytest.mark.parametrize("name", RULES)
def test_a_strategy_read_from_a_run_selects_what_the_run_trained(name, figure):
    """Every fifth run; what no strategy can say is told as not kept."""
    silent = 0
    for case in published.cases(name)[::5]:
        if "error" in case:
            continue
        tree = published.tree(case["config"])
        read = vf.import_strategy(flags_of(case), tree, KEYS[name])
        found = selection_of(vf.resolve(read.strategy, tree))
        kept = not any(note.startswith("Not kept") for note in read.notes)
        silent += kept and bool(published.disagreement(found, case))
    figure(silent)
    assert silent == 0


LLAVA, ONEVISION, QWEN, INTERN = (published.tree(n) for n in ("llava", "llava_onevision", "qwen2_5_vl", "internvl"))
STAGES = (
    "--mm_tunable_parts=mm_vision_tower,mm_mlp_adapter,mm_language_model --mm_vision_tower_lr=2e-6 --learning_rate 1e-5"
)
SERIES = (
    "deepspeed src/train/train_sft.py --lora_enable True --vision_lora False --model_id Qwen/Qwen2.5-VL --merger_lr 1e-5 "
    "--lora_namespan_exclude \"['lm_head', 'embed_tokens']\" --learning_rate 1e-4 "
    "--freeze_vision_tower True --freeze_llm True --freeze_merger False"
)
RECOGNISED = {
    "parts on LLaVA": (STAGES, LLAVA, "LLaVA-NeXT", {"vision_tower", "projector", "language_model", "embeddings", "head"}),
    "parts on OneVision": (STAGES, ONEVISION, "LLaVA-NeXT", {"vision_tower", "projector", "language_model", "embeddings", "head"}),
    "one part": ("--mm_tunable_parts mm_mlp_adapter", LLAVA, "LLaVA-NeXT", {"projector"}),
    "LLaVA's own switch on LLaVA": ("--tune_mm_mlp_adapter True", LLAVA, "LLaVA", {"projector"}),
    "the same on OneVision": ("--freeze_mm_mlp_adapter True --freeze_backbone True", ONEVISION, "LLaVA-NeXT", {"head"}),
    "2U1": (SERIES, QWEN, "Qwen-VL-Series-Finetune", {"projector", "language_model"}),
    "2U1 in full": (
        {"freeze_vision_tower": True, "freeze_llm": False, "freeze_merger": False}, QWEN, "Qwen-VL-Series-Finetune",
        {"projector", "language_model", "embeddings", "head"},
    ),
    "QwenLM": (
        "--tune_mm_vision False --tune_mm_mlp True --tune_mm_llm False", QWEN, "qwen-vl-finetune", {"projector", "head"}
    ),
    "QwenLM's LoRA": ("--lora_enable True --lora_r 8", QWEN, "qwen-vl-finetune", {"language_model"}),
    "InternVL": (
        "--freeze_llm True --freeze_mlp True --freeze_backbone True --use_llm_lora 16", INTERN, "InternVL", {"language_model"}
    ),
    "TRL": (
        "trl sft --use_peft --lora_r 8 --lora_target_modules fc1 fc2 --lora_modules_to_save lm_head", LLAVA, "TRL",
        {"vision_tower", "head"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", RECOGNISED)
def test_settings_are_found_to_be_whose_they_are_and_select_what_they_say(what):
    source, tree, trainer, parts = RECOGNISED[what]
    read = vf.import_strategy(source, tree)
    assert read.trainer == trainer
    plan = vf.resolve(read.strategy, tree)
    assert {tree.component_of(name) for name in selection_of(plan).names} == parts


def test_rates_of_parts_come_back():
    read = vf.import_strategy(STAGES, ONEVISION)
    plan = vf.resolve(read.strategy, ONEVISION)
    rates = {ONEVISION.component_of(n): g.lr for g in plan.optimizer_groups for n in g.params}
    assert rates.pop("vision_tower") == 2e-6
    assert set(rates.values()) == {1e-5}


AMBIGUOUS = {
    "ms-swift's or 2U1's": ({"freeze_llm": True}, QWEN),
    "ms-swift's or InternVL's": ({"freeze_llm": True}, INTERN),
    "QwenLM's or 2U1's": ({"lora_enable": True}, QWEN),
    "Axolotl's or TRL's": ({"lora_target_modules": ["q_proj", "v_proj"]}, LLAVA),
}


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_flags_of_several_trainers_are_asked_about(what):
    source, tree = AMBIGUOUS[what]
    with pytest.raises(BadConfig, match="not plain whose"):
        vf.import_strategy(source, tree)


STRANGE = {
    "LLaVA-NeXT's part given to LLaVA": ("llava", {"mm_tunable_parts": "mm_mlp_adapter"}, LLAVA, "llava-next"),
    "a tower's rate given to LLaVA": ("llava", {"lora_enable": True, "mm_vision_tower_lr": 2e-6}, LLAVA, "llava-next"),
    "a switch that is off and opens": ("llava", {"tune_mm_mlp": False}, LLAVA, "qwen-vl-finetune"),
    "2U1's given to LLaMA-Factory": ("llamafactory", {"freeze_vision_tower": True, "freeze_merger": False}, QWEN, "series"),
    "a rate of a part that it has not": ("trl", {"use_peft": True, "vision_tower_lr": 1e-6}, LLAVA, "vision_tower_lr"),
    "a flag that nobody has": ("internvl", {"freeze_llm": True, "freeze_tokenizer_head": True}, INTERN, "freeze_tokenizer_head"),
    "the head's rate of 2U1's classifier": ("2u1", {"freeze_llm": True, "head_lr": 1e-3}, QWEN, "head_lr"),
    "another LoRA": ("ms-swift", {"tuner_type": "lora", "lora_target": "all"}, QWEN, "lora_target"),
}  # fmt: skip


@pytest.mark.parametrize("what", STRANGE)
def test_a_flag_that_selects_and_is_not_known_stops_the_import(what):
    trainer, flags, tree, words = STRANGE[what]
    with pytest.raises(BadConfig, match=words) as caught:
        vf.import_strategy(flags, tree, trainer)
    assert caught.value.expected and caught.value.found and caught.value.remedy


@pytest.mark.parametrize(
    "flags",
    [
        {"lora_weight_path": "x", "lora_task_type": "CAUSAL_LM", "gradient_checkpointing": True},
        {"vision_tower": "openai/clip-vit-large-patch14-336", "lora_bias": None, "vision_lora": False},
    ],
)
def test_flags_that_only_look_like_it_are_kept_as_settings(flags):
    assert vf.import_strategy({"use_peft": False, "lora_r": 8, **flags}, LLAVA, "trl").settings == flags


def test_without_the_rule_of_names_a_strange_flag_would_go_by(monkeypatch):
    monkeypatch.setattr(recognise, "_SELECTS", recognise.re.compile("nothing of the kind"))
    assert vf.import_strategy({"mm_tunable_parts": "mm_mlp_adapter"}, LLAVA, "llava").settings


NOTED = {
    "the head trains anyway": ("qwen-vl-finetune", {"tune_mm_mlp": True}, QWEN, "lm_head trains although"),
    "a tower's rate alone": ("qwen-vl-finetune", {"tune_mm_vision": True, "vision_tower_lr": 1e-6}, QWEN, "beside mm_projector_lr"),
    "switches beside LoRA": ("qwen-vl-finetune", {"lora_enable": True, "tune_mm_mlp": True}, QWEN, "not looked at"),
    "DoRA that is none": ("2u1", {"lora_enable": True, "freeze_llm": True, "use_dora": True}, QWEN, "plain LoRA"),
    "adapters on the head": ("2u1", {"lora_enable": True, "freeze_llm": True}, QWEN, "embeddings and head"),
    "the merger is opened again": (
        "2u1", {"lora_enable": True, "freeze_llm": True, "freeze_merger": True}, QWEN, "does nothing here"
    ),
    "a word with a space": ("llava-next", {"mm_tunable_parts": "mm_mlp_adapter, mm_language_model"}, LLAVA, "spaces count"),
    "adapters in the tower": (
        "llava-next", {"mm_tunable_parts": "mm_mlp_adapter", "lora_enable": True}, LLAVA, "in the vision tower"
    ),
    "the head's switch": ("internvl", {"freeze_llm": True, "unfreeze_lm_head": True}, INTERN, "does nothing"),
    "blocks from an index on": ("internvl", {"freeze_backbone": True, "unfreeze_vit_layers": 1}, INTERN, "from that index on"),
    "one layer there, three here": ("internvl", {"use_backbone_lora": 8}, INTERN, "Not kept: vision tower"),
    "LoRA without use_peft": ("trl", {"lora_r": 8}, LLAVA, "everything trains in full"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOTED)
def test_a_quirk_is_told(what):
    trainer, flags, tree, words = NOTED[what]
    notes = vf.import_strategy(flags, tree, trainer).notes
    assert any(words in note for note in notes), notes


EXACT = {
    "two stages": ("llava-next", ONEVISION, {"vision_tower": "full", "model.multi_modal_projector": "full"}),
    "all parts": ("llava-next", LLAVA, dict.fromkeys(LLAVA.components, "full")),
    "merger and LoRA": ("2u1", QWEN, {"projector": "full", "language_model": vf.Lora(8, 16)}),
    "LoRA in both, on some names": (
        "2u1", QWEN, {"vision_tower": vf.Lora(8, 16), "language_model": vf.Lora(8, 16, targets=("q_proj", "v_proj"))}
    ),
    "the last block": ("2u1", QWEN, {"language_model[-1:]": "full", "projector": "full"}),
    "projector and head": ("qwen-vl-finetune", QWEN, {"projector": "full", "head": "full"}),
    "LoRA": (
        "qwen-vl-finetune", QWEN, {"language_model": vf.Lora(8, 16, 0.05, targets=("q_proj", "k_proj", "v_proj", "o_proj"))}
    ),
    "the last blocks of the tower": ("internvl", INTERN, {"vision_tower[-1:]": "full", "projector": "full"}),
    "LoRA as InternVL has it": ("internvl", INTERN, {"language_model": vf.Lora(8, 16, 0.05), "projector": "full"}),
    "LoRA and the projector": ("trl-sft", LLAVA, {"language_model": vf.Lora(8, 16), "projector": "full"}),
}  # fmt: skip


@pytest.mark.check("N25")
@pytest.mark.parametrize("what", EXACT)
def test_what_a_trainer_can_say_is_exported_exactly_and_comes_back(what, figure):
    to, tree, rules = EXACT[what]
    plan = vf.resolve(vf.Strategy(rules, 1e-4), tree)
    done = vf.export(plan, to=to)
    assert done.exact, done.notes
    back = vf.resolve(vf.import_strategy(next(iter(done.files.values())), tree, to).strategy, tree)
    wrong = set(selection_of(plan).names) ^ set(selection_of(back).names)
    figure(len(wrong))
    assert wrong == set()


@pytest.mark.control("N25")
@pytest.mark.parametrize(
    ("to", "tree", "rules"),
    [
        ("qwen-vl-finetune", QWEN, {"projector": "full"}),  # the head trains whatever is said
        ("internvl", INTERN, {"vision_tower": vf.Lora(8, 16, 0.05)}),  # qkv is one layer there
        ("internvl", INTERN, {"head": "full"}),
        ("llava-next", LLAVA, {"language_model": vf.Lora(8, 16)}),  # the tower gets adapters too
        ("trl-sft", LLAVA, {"projector": "full"}),
    ],
)  # fmt: skip
def test_what_a_trainer_cannot_say_is_not_called_exact(to, tree, rules):
    assert not vf.export(vf.Strategy(rules, 1e-4), tree, to).exact
