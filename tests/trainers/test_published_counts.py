"""On the published checkpoints, trainers' settings select as many parameters as the trainers' own logs say."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf

QWEN, LLAVA = "Qwen/Qwen2.5-VL-7B-Instruct", "llava-hf/llava-1.5-7b-hf"
VISION, MERGER, EMBEDDINGS, LAYERS, HEAD = 631_975_680, 44_574_464, 544_997_376, 6_525_621_760, 544_997_376
# Sources: ms-swift#7226 ("7615.6165M Trainable") and #6079; LLaVA's script of LoRA r128 on Vicuna-7B.
COUNTS = {
    "ms-swift, full by default": (QWEN, "ms-swift", {"tuner_type": "full"}, LAYERS + EMBEDDINGS + HEAD),
    "ms-swift, the aligner alone": (
        QWEN, "ms-swift", {"tuner_type": "full", "freeze_llm": True, "freeze_aligner": False}, MERGER
    ),
    "ms-swift, everything": (
        QWEN, "ms-swift", {"tuner_type": "full", "freeze_vit": False, "freeze_aligner": False},
        VISION + MERGER + LAYERS + EMBEDDINGS + HEAD,
    ),
    "ms-swift, LoRA by default": (QWEN, "ms-swift", {}, 20_185_088),
    "LLaMA-Factory, LoRA by default": (QWEN, "llamafactory", {"lora_rank": 8}, 20_185_088),
    "LLaMA-Factory, full by default": (QWEN, "llamafactory", {"finetuning_type": "full"}, LAYERS + EMBEDDINGS + HEAD),
    "LLaVA, first stage": (LLAVA, "llava", {"tune_mm_mlp_adapter": True}, 20_979_712),
    "LLaVA, LoRA r128": (LLAVA, "llava", {"lora_enable": True, "lora_r": 128, "lora_alpha": 256}, 319_815_680 + 20_979_712),
}  # fmt: skip


@pytest.fixture(scope="module")
def trees():
    return {name: vf.read_tree(name) for name in (QWEN, LLAVA)}


@pytest.mark.parametrize("case", COUNTS)
def test_as_many_parameters_train_as_the_log_says(case, trees):
    name, trainer, flags, count = COUNTS[case]
    read = vf.import_strategy(flags, trees[name], trainer)
    assert vf.resolve(read.strategy, trees[name]).trainable_params == count


def test_of_two_rows_for_one_class_the_one_is_taken_whose_names_the_model_has():
    tree = vf.read_tree("Qwen/Qwen3.5-9B")
    done = vf.export(vf.Strategy({"projector": "full"}, 1e-3), tree, "ms-swift")
    assert done.exact
    assert done.settings["freeze_aligner"] is False


def test_a_mixture_of_235_billion_is_exported_without_weights():
    tree = vf.read_tree("Qwen/Qwen3-VL-235B-A22B-Instruct")
    plan = vf.resolve(vf.Strategy({"projector": "full", "language_model": vf.Lora(16, 32)}, 1e-4), tree)
    assert vf.export(plan, to="ms-swift").exact
