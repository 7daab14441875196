"""A trainer's settings, in whatever form a person has them, become a strategy that selects what the trainer selects; what surprises
people is said, and what stops the trainer stops the import.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.tiers import THOROUGH, examples
from tests.tiny import tiny_llava
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import BadConfig, NotExpressible, TrainerRefuses, VlmFreezeError
from vlmfreeze_widgets.trainers.registry import TRAINERS
from vlmfreeze_widgets.trainers.selection import decay_differences, differences, selection_of

KEYS = {
    "llamafactory": "llamafactory",
    "ms-swift": "ms-swift",
    "llava-haotian": "llava",
    "zero_nlp": "zero-nlp",
    "peft": "peft",
    "unsloth": "unsloth",
}
LLAVA = published.tree("llava")


@pytest.mark.check("N25")
@pytest.mark.parametrize("trainer", KEYS)
def test_a_strategy_read_from_a_run_selects_what_the_run_trained(trainer, figure):
    wrong = 0
    for case in published.cases(trainer) if THOROUGH else published.every_setting(trainer):
        if "error" in case or case["case"] == "vicuna_tune-proj_linear":
            continue
        flags = published.flags_of(case)
        tree = published.tree(case["config"])
        read = vf.import_strategy(flags, tree, KEYS[trainer])
        found = selection_of(vf.resolve(read.strategy, tree))
        if published.disagreement(found, case):
            # PEFT wraps Llama 4's router by its class, and training then stops: no strategy keeps that, and the import says so.
            wrong += not (
                case["config"] == "llama4" and any("router" in n and "training stops" in n for n in read.notes)
            )
            assert any(note.startswith("Not kept") for note in read.notes), (case["config"], case["case"], read.notes)
    figure(wrong)
    assert wrong == 0


FORMS = {
    "mapping": {"finetuning_type": "lora", "lora_rank": 16, "learning_rate": "2e-5"},
    "yaml": "### method\nfinetuning_type: lora\nlora_rank: 16\nlearning_rate: 2e-5\nfreeze_vision_tower: on  # kept\n",
    "json": '{"finetuning_type": "lora", "lora_rank": 16, "learning_rate": 2e-5}',
    "command": "llamafactory-cli train --finetuning_type lora --lora_rank=16 \\\n  --learning_rate 2e-5",
    "words": ["--finetuning_type", "lora", "--lora_rank", "16", "--learning_rate", "2e-5"],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_settings_is_the_same_strategy(form):
    read = vf.import_strategy(FORMS[form], LLAVA)
    assert read.trainer == "LLaMA-Factory"
    assert read.strategy.rules["language_model"] == vf.Lora(rank=16, alpha=32)
    assert read.strategy.rules["vision_tower"] == vf.FROZEN
    assert read.strategy.lr == {"": 2e-5}


def test_what_was_read_is_itself_a_strategy_and_tells_its_notes():
    read = vf.import_strategy({"finetuning_type": "lora", "additional_target": "multi_modal_projector"}, LLAVA)
    assert isinstance(read, vf.Strategy)
    assert read == read.strategy
    assert vf.resolve(read, LLAVA).to_dict() == vf.resolve(read.strategy, LLAVA).to_dict()
    assert "note: additional_target trains full copies" in str(read)


def test_a_file_is_found_by_its_path_and_read_by_the_yaml_of_its_trainer(tmp_path):
    path = tmp_path / "train.yaml"
    path.write_text("finetuning_type: full\nfreeze_vision_tower: no\nlearning_rate: 1e-5\nnum_train_epochs: 3\n")
    read = vf.import_strategy(path, LLAVA)
    assert read.strategy == vf.import_strategy(str(path), LLAVA).strategy
    assert read.strategy.rules["vision_tower"] == vf.FULL
    assert read.settings == {"num_train_epochs": 3}


def test_the_two_stages_of_llava_are_read_from_their_scripts():
    first = vf.import_strategy("--tune_mm_mlp_adapter True --version plain --learning_rate 1e-3", LLAVA)
    assert first.strategy.rules == {**dict.fromkeys(LLAVA.components, vf.FROZEN), "projector": vf.FULL}
    assert first.strategy.lr == {"": 1e-3}
    second = vf.import_strategy(
        "deepspeed train_mem.py --lora_enable True --lora_r 128 --lora_alpha 256 --mm_projector_lr 2e-5 --learning_rate 2e-4",
        LLAVA,
    )
    assert second.strategy.rules["language_model"] == vf.Lora(128, 256, 0.05)
    assert second.strategy.lr == {"": 2e-4, "projector": 2e-5}


def test_an_adapter_folder_a_lora_config_and_a_live_model_are_the_same_strategy(tmp_path):
    from peft import LoraConfig, get_peft_model

    model = tiny_llava()
    tree = vf.read_tree(model)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=r".*language_model.*\.(q_proj|v_proj)", modules_to_save=["lm_head"]
    )
    wrapped = get_peft_model(model, config)
    wrapped.save_pretrained(tmp_path)
    forms = ((tmp_path, tree), (config, tree), (wrapped, tree), (wrapped, None))
    strategies = [vf.import_strategy(source, on).strategy for source, on in forms]
    assert strategies[0].rules["language_model"] == vf.Lora(4, 8, targets=("q_proj", "v_proj"))
    assert strategies[0].rules["head"] == vf.FULL
    assert strategies.count(strategies[0]) == len(strategies)


def test_what_was_opened_by_hand_in_a_live_model_is_seen():
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(tiny_llava(), LoraConfig(r=4, target_modules=r".*language_model.*\.q_proj"))
    wrapped.base_model.model.model.multi_modal_projector.requires_grad_(True)
    read = vf.import_strategy(wrapped)
    assert read.strategy.rules["projector"] == vf.FULL
    assert any("4 tensors opened" in note for note in read.notes)


NOTED = {
    "the projector's switch in LoRA mode": ("llamafactory", {"freeze_multi_modal_projector": False}, "#6789"),
    "layers are counted in the tower too": (
        "llamafactory", {"finetuning_type": "freeze", "freeze_vision_tower": False}, "vision blocks of the same index"
    ),
    "copies": ("llamafactory", {"additional_target": "multi_modal_projector"}, "double memory"),
    "LoRA+": ("llamafactory", {"loraplus_lr_ratio": 16.0}, "every one-dimensional tensor"),
    "PiSSA": ("llamafactory", {"pissa_init": True}, "PiSSA"),
    "a prefix that is in no name": ("ms-swift", {"tuner_type": "full", "freeze_parameters": ["modle.layers"]}, "#7226"),
    "trainable parameters are added": ("ms-swift", {"tuner_type": "full", "trainable_parameters": ["lm_head"]}, "#4722"),
    "ignored with LoRA": ("ms-swift", {"trainable_parameters": ["lm_head"]}, "#6421"),
    "suffixes in the tower": ("ms-swift", {"target_modules": ["q_proj"]}, "vision tower"),
    "the aligner gets adapters": ("ms-swift", {"freeze_aligner": False}, "adapters on the aligner"),
    "lora_llm saves beside": ("ms-swift", {"tuner_type": "lora_llm"}, "vit.safetensors"),
    "adapters without a gradient": ("llava", {"lora_enable": True, "unfreeze_mm_vision_tower": True}, "#1380"),
    "the projector trains anyway": ("llava", {"lora_enable": True}, "#832"),
    "the head trains": ("llava", {"freeze_backbone": True}, "#723"),
    "adapters in the tower": ("zero-nlp", {"train_type": "use_lora"}, "vision tower"),
    "an alpha that nobody set": ("zero-nlp", {"train_type": "use_lora"}, "0.25"),
    "a word that it does not know": ("zero-nlp", {"train_type": "lora"}, "everything trains"),
    "a switch that is off and does nothing": (
        "unsloth", {"target_modules": "all-linear", "finetune_vision_layers": False}, "finetune_vision_layers is off"
    ),
    "all linear layers are those of the tower too": (
        "axolotl", {"adapter": "lora", "lora_target_linear": True}, "vision tower all get adapters"
    ),
    "a suffix that leaks": ("peft", {"target_modules": ["q_proj"]}, "'q_proj' is a suffix over the whole model"),
}  # fmt: skip


@pytest.mark.parametrize("what", NOTED)
def test_a_quirk_is_told(what):
    trainer, flags, words = NOTED[what]
    notes = vf.import_strategy(flags, LLAVA, trainer).notes
    assert any(words in note for note in notes), notes


def test_axolotl_opens_what_a_name_begins_with_and_dots_are_dots():
    read = vf.import_strategy(
        {
            "base_model": "x",
            "unfrozen_parameters": ["^lm_head.weight$", "model.multi_modal_projector."],
            "learning_rate": 1e-5,
        },
        LLAVA,
    )
    assert {part for part, tuning in read.strategy.rules.items() if tuning == vf.FULL} == {"projector", "head"}


def test_a_scoped_pattern_is_not_called_a_leak():
    notes = vf.import_strategy({"target_modules": r".*language_model.*\.q_proj"}, LLAVA, "peft").notes
    assert not any("suffix" in note for note in notes)


def test_a_model_outside_the_table_is_told_that_its_switches_do_nothing():
    read = vf.import_strategy({"finetuning_type": "full"}, published.tree("smolvlm"))
    assert set(read.strategy.rules.values()) == {vf.FULL}
    assert any("'smolvlm'" in note for note in read.notes)


REFUSED = {
    "DoRA without LoRA": ("llamafactory", {"finetuning_type": "full", "use_dora": True}, "only valid for LoRA"),
    "nothing left for LoRA": ("llamafactory", {"freeze_language_model": True}, "no target modules"),
    "a container as a target": (
        "llamafactory", {"lora_target": "multi_modal_projector", "freeze_multi_modal_projector": False}, "LlavaMultiModalProjector"
    ),
    "an unknown module": ("llamafactory", {"finetuning_type": "freeze", "freeze_trainable_modules": "attn"}, "attn is not found"),
    "all frozen": ("ms-swift", {"freeze_llm": True}, "AssertionError"),
    "some rows of a tensor": (
        "axolotl", {"unfrozen_parameters": ["^lm_head.weight$[:32000]"]}, "range of rows"
    ),
    "parameters opened beside an adapter": (
        "axolotl", {"adapter": "lora", "lora_target_linear": True, "unfrozen_parameters": ["^lm_head"]}, "beside an adapter"
    ),
    "a broken pattern": ("peft", {"target_modules": "("}, "pattern that cannot be used"),
    "a pattern that never ends": ("peft", {"target_modules": "(a+)+b"}, "pattern that cannot be used"),
    "a name that matches nothing": ("peft", {"target_modules": ["nowhere"]}, "no module matches"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_stops_the_trainer_is_refused_for_the_same_reason(what):
    trainer, flags, words = REFUSED[what]
    with pytest.raises(TrainerRefuses, match=words) as caught:
        vf.import_strategy(flags, LLAVA, trainer)
    assert caught.value.expected and caught.value.found and caught.value.remedy


UNREADABLE = {
    "a misspelt flag": ({"finetuning_type": "full", "freeze_vison_tower": False}, "freeze_vision_tower"),
    "a word for a number": ({"finetuning_type": "lora", "lora_rank": "many"}, "lora_rank"),
    "half a rank": ({"finetuning_type": "lora", "lora_rank": 2.5}, "lora_rank"),
    "a truth that is none": ({"finetuning_type": "full", "freeze_vision_tower": "maybe"}, "freeze_vision_tower"),
    "no settings": ("just words", "Give a dict"),
    "nobody's settings": ({"learning_rate": 1e-4}, "not plain whose"),
    "two trainers' settings": ({"finetuning_type": "lora", "tuner_type": "lora"}, "not plain whose"),
    "a number": (7, "Give a dict"),
    "broken YAML": ("finetuning_type: [lora\n", "Give a dict"),
    "code in YAML": ("finetuning_type: !!python/object/apply:os.system ['true']\n", "Give a dict"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_settings_that_cannot_be_meant_are_refused(what):
    source, words = UNREADABLE[what]
    with pytest.raises(BadConfig, match=words):
        vf.import_strategy(source, LLAVA)


def test_an_adapter_that_is_not_lora_is_refused_by_name():
    with pytest.raises(NotExpressible, match="IA3"):
        vf.import_strategy({"peft_type": "IA3", "target_modules": ["q_proj"]}, LLAVA)


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
anything = plain | st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=5), plain, max_size=2)
pieces = st.lists(st.sampled_from(["--", "lora_r", "=", ":", " ", "\n", "'", "[", "1"]), max_size=12)


def outcome(source, trainer=None):
    """The remedy of the error, or what was read."""
    try:
        return vf.import_strategy(source, LLAVA, trainer)
    except VlmFreezeError as error:
        return error.remedy


@pytest.mark.parametrize("trainer", TRAINERS)
def test_whatever_stands_in_the_settings_is_read_or_refused_in_words(trainer):
    flags = list(TRAINERS[trainer].flags)

    @settings(max_examples=examples(300), deadline=None)
    @given(given=st.dictionaries(st.sampled_from(flags) | st.text(max_size=8), anything, max_size=4))
    def check(given):
        assert outcome(given, trainer)

    check()


@settings(max_examples=examples(200), deadline=None)
@given(text=st.text(max_size=60) | pieces.map("".join))
def test_whatever_is_given_as_text_is_read_or_refused_in_words(text):
    assert outcome(text)


def test_a_trainer_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(BadConfig, match="llamafactory"):
        vf.import_strategy({}, LLAVA, "LLaMA-Factry")


@pytest.mark.parametrize("preset", [p.name for p in vf.presets()])
@pytest.mark.parametrize("to", ["llamafactory", "ms-swift", "llava"])
def test_a_preset_goes_out_and_comes_back(preset, to):
    plan = vf.resolve(vf.preset(preset), LLAVA)
    done = vf.export(plan, to=to)
    back = vf.import_strategy(next(iter(done.files.values())), LLAVA, to)
    ours, theirs = selection_of(plan), selection_of(vf.resolve(back.strategy, LLAVA))
    wrong = differences(ours, theirs, LLAVA) + decay_differences(ours, theirs, LLAVA)
    assert done.exact == (not wrong)
    assert set(wrong) <= set(done.notes)
    assert done.trainer == TRAINERS[to].name
