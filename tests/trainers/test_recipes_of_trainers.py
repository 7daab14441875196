"""LLaVA's export has its published hyper-parameters; zero_nlp's stages are read; each quirk names the thread that tells of it."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.errors import TrainerRefuses
from vlmfreeze_widgets.trainers.sources import read_settings

TREE = published.tree("llava")
LORA = vf.Lora(8, 16)


def arguments(name: str, **others: object) -> tuple[dict[str, object], tuple[str, ...]]:
    done = vf.export(vf.preset(name, TREE), TREE, "llava", strict=True, **others)
    return read_settings(next(iter(done.files.values()))), done.notes


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pretrain", {"tune_mm_mlp_adapter": "True", "learning_rate": "0.001", "per_device_train_batch_size": "32",
                      "version": "plain", "deepspeed": "./scripts/zero2.json"}),
        ("finetune", {"learning_rate": "2e-05", "per_device_train_batch_size": "16", "version": "v1",
                      "image_aspect_ratio": "pad", "deepspeed": "./scripts/zero3.json"}),
        ("lora", {"lora_enable": "True", "lora_r": "128", "lora_alpha": "256", "learning_rate": "0.0002",
                  "mm_projector_lr": "2e-05", "group_by_modality_length": "True"}),
    ],
)  # fmt: skip
def test_both_stages_and_lora_carry_the_published_hyper_parameters(name, wanted):
    read, notes = arguments(f"llava-1.5/{name}")
    shared = {"num_train_epochs": "1", "lr_scheduler_type": "cosine", "warmup_ratio": "0.03", "model_max_length": "2048",
              "mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": "-2", "bf16": "True"}  # fmt: skip
    assert {key: read.get(key) for key in {**shared, **wanted}} == {**shared, **wanted}
    assert any("8 GPUs" in note and "scripts/v1_5" in note for note in notes)
    assert not any("Its learning rate is" in note for note in notes)


def test_a_persons_own_settings_win_over_the_recipe_and_another_rate_is_told():
    read, _ = arguments("llava-1.5/pretrain", num_train_epochs=3, bf16=False)
    assert (read["num_train_epochs"], read["bf16"]) == ("3", "False")
    done = vf.export(vf.Strategy({"projector": "full"}, 5e-4), TREE, "llava")
    assert any("Its learning rate is 1e-3; here it is 5e-4." in note for note in done.notes)


@pytest.mark.parametrize(
    ("flags", "trains"),
    [
        ({"freeze_vision_model": True, "freeze_language_model": True}, {"projector"}),
        ({"freeze_vision_model": True}, {"projector", "language_model", "embeddings", "head"}),
        ({"freeze_vision_model": "false", "freeze_language_model": True}, {"vision_tower", "projector"}),
    ],
)
def test_the_staged_form_of_zero_nlp_freezes_by_part_and_says_that_it_is_done_by_hand(flags, trains):
    read = vf.import_strategy(flags, TREE, "zero-nlp")
    plan = vf.resolve(read.strategy, TREE)
    assert {group.component for group in plan.optimizer_groups} == trains
    assert any("zero_nlp#194" in note for note in read.notes)


def test_the_staged_form_is_recognised_as_zero_nlps():
    assert vf.import_strategy({"freeze_vision_model": True}, TREE).trainer == "zero_nlp"


def test_zero_nlp_refuses_what_its_own_code_refuses():
    with pytest.raises(TrainerRefuses):
        vf.import_strategy({"train_type": "freeze_vision", "transformers_version": "5.8.0"}, TREE, "zero-nlp")


QUIRKS = [
    ("llava", {"lora_enable": True, "unfreeze_mm_vision_tower": True}, "LLaVA#1380, #1647"),
    ("llava", {"lora_enable": True}, "LLaVA#832, #948"),
    ("llava", {"lora_enable": True}, "LLaVA#844, #1200, #1566"),
    ("llava", {"freeze_backbone": True}, "LLaVA#723"),
    ("zero-nlp", {"freeze_language_model": True}, "zero_nlp#194"),
    ("llamafactory", {"finetuning_type": "lora", "freeze_multi_modal_projector": False}, "LlamaFactory#6789, #8334"),
    ("ms-swift", {"tuner_type": "lora", "trainable_parameters": ["model.visual"]}, "ms-swift#6421"),
    ("ms-swift", {"tuner_type": "full", "trainable_parameters": ["nowhere"]}, "ms-swift#7226"),
    ("ms-swift", {"tuner_type": "full", "trainable_parameters": ["model.multi_modal_projector"]}, "ms-swift#4722, #2773"),
    ("ms-swift", {"tuner_type": "full", "freeze_llm": True, "freeze_aligner": False}, "ms-swift#6079, #5485"),
    ("ms-swift", {"tuner_type": "full", "freeze_vit": False, "vit_lr": 1e-6}, "ms-swift#6616"),
    ("peft", {"r": 8, "target_modules": ["q_proj"]}, "vllm#17660"),
]  # fmt: skip


@pytest.mark.parametrize(("trainer", "flags", "thread"), QUIRKS)
def test_a_quirk_is_told_with_the_thread_that_documents_it(trainer, flags, thread):
    notes = vf.import_strategy(flags, TREE, trainer).notes
    assert any(thread in note for note in notes), notes


def test_training_the_tower_by_script_is_told_to_hang_under_zero():
    done = vf.export(vf.Strategy({"vision_tower": "full", "projector": "full"}, 1e-5), TREE, "hf-trainer")
    assert any("DeepSpeed#7170" in note for note in done.notes)
    quiet = vf.export(vf.Strategy({"projector": "full"}, 1e-5), TREE, "hf-trainer")
    assert not any("DeepSpeed" in note for note in quiet.notes)
