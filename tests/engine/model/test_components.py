"""Which modules are the tower, the projector, the language model of transformers' families. Homemade ones: test_name_roles.py."""

import copy
import subprocess
import sys

import peft
import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    CLIPVisionModel,
    EvollaConfig,
    EvollaForProteinText2Text,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

import vlmfreeze_widgets as vf
from tests.engine.model.component_split import found, linear, module, split
from tests.families import SIGLIP, TEXT, TINY_FAMILIES, tiny

LLAVA = split(
    "model.vision_tower", "model.multi_modal_projector", "model.language_model", "model.language_model.embed_tokens"
)
IDEFICS = split("model.vision_model", "model.connector", "model.text_model", "model.text_model.embed_tokens")
QWEN = split("model.visual", "model.visual.merger", "model.language_model", "model.language_model.embed_tokens")
# fmt: off
EXPECTED = {
    **dict.fromkeys(("llava", "vipllava", "paligemma", "gemma3", "internvl", "mistral3", "aya_vision"), LLAVA),
    "got_ocr2": LLAVA,
    "llava_next": LLAVA | {"projector": {"model.multi_modal_projector", "model.image_newline"}},
    "mllama": LLAVA | {"vision_tower": {"model.vision_model"}},
    **dict.fromkeys(("idefics3", "smolvlm"), IDEFICS),
    **dict.fromkeys(("qwen2_vl", "qwen2_5_vl"), QWEN),
    "qwen3_vl": QWEN | {"projector": {"model.visual.merger", "model.visual.deepstack_merger_list"}},
    "blip-2": split(
        "vision_model", "qformer language_projection query_tokens",
        "language_model", "language_model.model.decoder.embed_tokens", "language_model.lm_head",
    ),
    "plain": split("vision_tower", "projector image_newline", "language_model", "language_model.embed_tokens"),
}
PICTURE_TOKENS = {"<image>": 4, "IMGIMGA": 5}
# Built from their default configs, as large as they are.
BY_DEFAULT = {
    "llama4": ({}, split(
        "vision_model", "multi_modal_projector", "language_model",
        "language_model.model.embed_tokens", "language_model.lm_head",
    )),
    "chameleon": ({"vocabulary_map": PICTURE_TOKENS}, split(
        "model.vqmodel", "", "model.layers model.norm", "model.embed_tokens"
    )),
    "idefics": ({"use_resampler": True}, split(
        "model.vision_model", "model.perceiver_resampler", "model.layers model.gated_cross_attn_layers model.norm",
        "model.embed_tokens",
    )),
    "kosmos-2": ({}, split(
        "vision_model", "image_to_text_projection", "text_model", "text_model.model.embed_tokens", "text_model.lm_head"
    )),
    "video_llava": ({}, LLAVA | {"vision_tower": {"model.video_tower", "model.image_tower"}}),
    "janus": ({}, split(
        "model.vision_model", "model.aligner", "model.language_model", "model.language_model.embed_tokens",
        other="model.vqmodel model.generation_embeddings model.generation_aligner model.generation_head",
    )),
    "pix2struct": ({}, split("encoder", "", "decoder", "decoder.embed_tokens", "decoder.lm_head")),
    "fuyu": ({}, split(
        "", "model.vision_embed_tokens", "model.language_model", "model.language_model.embed_tokens"
    )),
    "blip": ({}, split(
        "vision_model", "", "text_decoder", "text_decoder.bert.embeddings.word_embeddings",
        "text_decoder.cls.predictions.decoder",
    )),
    "gemma4": (
        {"vision_config": {"model_type": "gemma4_vision"}, "audio_config": {"model_type": "gemma4_audio"}},
        LLAVA | {
            "projector": {"model.embed_vision"},
            "embeddings": {f"model.language_model.embed_tokens{kind}" for kind in ("", "_per_layer")},
            "audio_tower": {"model.audio_tower"},
            "audio_projector": {"model.embed_audio"},
        },
    ),
    "udop": ({}, split("", "patch_embed", "encoder decoder", "shared")),
    "granite_speech": ({}, split(
        "", "model.projector.query model.projector.qformer model.projector.linear", "model.language_model",
        "model.language_model.embed_tokens", audio_tower="model.encoder",
    )),
    "qwen2_5_omni": ({}, split(
        "thinker.model.visual", "thinker.model.visual.merger", "thinker.model.language_model",
        "thinker.model.language_model.embed_tokens", "thinker.lm_head", audio_tower="thinker.model.audio_tower",
        audio_projector="thinker.model.audio_tower.proj", other="talker token2wav",
    )),
    "gemma4_unified": (
        {"vision_config": {"model_type": "gemma4_unified_vision"}, "audio_config": {"model_type": "gemma4_unified_audio"}},
        split(
            "", "model.embed_vision", "model.language_model", "model.language_model.embed_tokens",
            audio_projector="model.embed_audio",
        ),
    ),
    "phi4_multimodal": ({}, split(
        "model.embed_tokens_extend.image_embed.img_processor",
        " ".join(f"model.embed_tokens_extend.image_embed.{part}" for part in (
            "global_img_feature_extensor", "sub_img_feature_extensor", "img_projection_up", "img_projection_down")),
        "model.layers model.norm", "model.embed_tokens",
        audio_tower="model.embed_tokens_extend.audio_embed.encoder",
        audio_projector=" ".join(f"model.embed_tokens_extend.audio_embed.{way}_proj_for_{what}"
                                 for way in ("up", "down") for what in ("speech", "vision_speech")),
    )),
    "qwen3_omni_moe_thinker": ({}, QWEN | {
        "projector": {"model.visual.merger", "model.visual.merger_list"},
        "audio_tower": {"model.audio_tower"},
        "audio_projector": {"model.audio_tower.proj1", "model.audio_tower.proj2"},
    }),
}
# fmt: on


def on_meta(family, **fields):
    with torch.device("meta"):
        config = AutoConfig.for_model(family, **fields)
        kind = (
            AutoModelForImageTextToText
            if type(config) in AutoModelForImageTextToText._model_mapping
            else AutoModelForMultimodalLM
        )
        return kind.from_config(config)


def test_a_tower_that_reads_proteins_is_neither_language_nor_vision():
    with torch.device("meta"):
        model = EvollaForProteinText2Text(EvollaConfig())
    assert found(model) == split(
        "", "model.protein_encoder.sequence_compressor_resampler", "model.layers model.norm", "model.embed_tokens",
        other="model.protein_encoder.model",
    )  # fmt: skip


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_a_family_is_split_as_its_authors_drew_it(family):
    assert found(tiny(family)) == EXPECTED[family]


@pytest.mark.parametrize("family", BY_DEFAULT)
def test_a_family_with_an_unusual_split_is_read_on_meta(family):
    fields, expected = BY_DEFAULT[family]
    model = on_meta(family, **fields)
    assert all(p.is_meta for p in model.parameters())
    assert found(model) == expected


def test_text_models_have_no_tower_and_no_projector():
    expected = split("", "", "model", "model.embed_tokens")
    assert found(LlamaForCausalLM(LlamaConfig(**TEXT))) == expected


def test_an_encoder_and_a_decoder_of_text_are_one_language_model():
    config = T5Config(vocab_size=50, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4)
    assert found(T5ForConditionalGeneration(config)) == split("", "", "encoder decoder", "shared")


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "blip-2"])
def test_a_config_that_was_copied_after_building_still_tells_the_parts_apart(family):
    model = tiny(family)
    model.config = copy.deepcopy(model.config)
    assert found(model) == EXPECTED[family]


@pytest.mark.check("B6")
@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "idefics3", "blip-2", "mllama"])
def test_inside_a_peft_model_the_same_is_found(family):
    lora = peft.LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"])
    model = peft.get_peft_model(tiny(family), lora)
    for prefix, wrapped in (("base_model.model.", model), ("model.", model.base_model)):
        assert found(wrapped) == {c: {prefix + p for p in paths} for c, paths in EXPECTED[family].items()}


def test_learned_prompts_belong_to_no_part_of_the_vlm():
    prompts = peft.PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=3,
        token_dim=32,
        num_transformer_submodules=1,
        num_attention_heads=4,
        num_layers=2,
    )
    expected = {c: {f"base_model.{p}" for p in paths} for c, paths in LLAVA.items()} | {"other": {"prompt_encoder"}}
    expected["embeddings"] |= {"word_embeddings"}  # a second name by which PEFT keeps them
    assert found(peft.get_peft_model(tiny("llava"), prompts)) == expected


def test_towers_that_the_config_does_not_know_are_found_inside_the_language_model():
    """The layout of the original LLaVA repository: everything hangs below LlamaForCausalLM.model."""
    model = LlamaForCausalLM(LlamaConfig(**TEXT))
    model.model.vision_tower = module(vision_tower=CLIPVisionModel._from_config(tiny("llava").config.vision_config))
    model.model.mm_projector = nn.Sequential(nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 32))
    model.model.image_newline = nn.Parameter(torch.zeros(32))
    assert found(model) == split(
        "model.vision_tower", "model.mm_projector model.image_newline", "model", "model.embed_tokens"
    )


def test_a_layer_with_a_telling_name_inside_the_language_model_is_no_tower():
    """CogVLM's layers have an expert for pictures each; Fuyu's embedding of patches is one Linear."""
    model = LlamaForCausalLM(LlamaConfig(**TEXT))
    model.model.vision_embed_tokens = linear()
    model.model.vision_mlp = module(up=linear(), down=linear())
    assert found(model) == split("", "", "model", "model.embed_tokens")


def test_transformers_and_peft_need_not_be_installed():
    code = (
        "import sys; sys.modules.update(transformers=None, peft=None); from torch import nn\n"
        "from vlmfreeze_widgets.engine.model.components import find_components\n"
        "print(find_components(nn.ModuleDict({'vision': nn.Linear(2, 2)})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "{'vision_tower': ('vision',)}"


def test_an_action_expert_is_no_language_model():
    """pi0's ``dit`` is a gemma that reads noise and states; its own embedding table embeds no token of the prompt."""
    text = {"model_type": "gemma", **TEXT}
    vlm = {
        "model_type": "paligemma",
        "vision_config": SIGLIP,
        "text_config": text,
        "projection_dim": 32,
        "hidden_size": 32,
    }
    tree = vf.read_tree(AutoConfig.for_model("pi0", vlm_config=vlm, dit_config={**text, "hidden_size": 16}))
    assert tree.components["language_model"] == ("model.vlm.language_model",)
    assert tree.components["embeddings"] == ("model.vlm.language_model.embed_tokens",)
    assert "model.dit" in tree.components["other"]
