"""Support: tiny processors of real classes, offline: twelve families, each with the chat template that its models publish.

The tokenizer is one token per character (ids below 96, so that the models of tests/families.py read them), or byte-level BPE
with merges, where labels must hold although tokens swallow spaces and newlines. No tests here.
"""

from __future__ import annotations

import string
from functools import cache
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm import processing_smolvlm
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.video_processing_utils import BaseVideoProcessor

CHARACTERS = string.ascii_letters + string.digits + " \n.,:;?!'-_"

# The templates that the Hub has for these models, without tools, videos and default system prompts.
LLAVA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}{# Render all text next #}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}"
    "{% else %}{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{% generation %}"
    "{{ content['text'] + ' '}}{% endgeneration %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
QWEN = (
    "{% set image_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n{% else %}"
    "{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content %}"
    "{% set image_count.value = image_count.value + 1 %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INTERNVL = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GEMMA3 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'][0]['text'] + '\n\n' %}"
    "{% set loop_messages = messages[1:] %}{% else %}{% set first = '' %}{% set loop_messages = messages %}{% endif %}"
    "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + (first if loop.first else '') }}"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}{% for item in message['content'] %}"
    "{% if item['type'] == 'image' %}{{ '<start_of_image>' }}{% elif item['type'] == 'text' %}{{ item['text'] | trim }}"
    "{% endif %}{% endfor %}{% endif %}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
IDEFICS3 = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
MLLAMA = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<|image|>' }}{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
AYA = (
    "{{ bos_token }}{% for message in messages %}<|START_OF_TURN_TOKEN|>{% if message['role'] == 'user' %}<|USER_TOKEN|>"
    "{% elif message['role'] == 'assistant' %}<|CHATBOT_TOKEN|><|START_RESPONSE|>{% else %}<|SYSTEM_TOKEN|>{% endif %}"
    "{% for item in message['content'] %}{% if item['type'] == 'text' %}{{ item['text'] }}{% else %}<image>{% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}<|END_RESPONSE|>{% endif %}<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>{% endif %}"
)
LLAVA_NEXT = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}{{ '<image>\n' }}{% else %}{{ content['text'] }}{% endif %}{% endfor %}{{' [/INST]' }}"
    "{% else %}{{ ' ' }}{% for content in message['content'] %}{{ content['text'] }}{% endfor %}{{ '</s> ' }}{% endif %}"
    "{% endfor %}"
)
SPECIALS: dict[str, dict[str, int]] = {
    "llava": {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "<image>": 90},
    "qwen": {
        "<|endoftext|>": 0, "<|im_start|>": 81, "<|im_end|>": 2, "<unk>": 3, "<|image_pad|>": 90, "<|video_pad|>": 91,
        "<|vision_start|>": 92, "<|vision_end|>": 93,
    },
    "internvl": {
        "<|endoftext|>": 0, "<|im_start|>": 81, "<|im_end|>": 2, "<unk>": 3, "<IMG_CONTEXT>": 90, "<video>": 91,
        "<img>": 92, "</img>": 93,
    },
    "gemma3": {
        "<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3, "<image_soft_token>": 90, "<start_of_image>": 91,
        "<end_of_image>": 92, "<start_of_turn>": 81, "<end_of_turn>": 82,
    },
    "paligemma": {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3, "<image>": 90},
    "idefics3": {
        "<pad>": 0, "<|im_start|>": 1, "<end_of_utterance>": 2, "<unk>": 3, "<image>": 90,
        "<fake_token_around_image>": 91, "<global-img>": 92, "<row_1_col_1>": 93, "<row_1_col_2>": 94,
    },
    "aya_vision": {
        "<PAD>": 0, "<BOS_TOKEN>": 1, "<|END_OF_TURN_TOKEN|>": 2, "<unk>": 3, "<|IMG_PATCH|>": 90, "<image>": 91,
        "<|START_OF_IMG|>": 92, "<|END_OF_IMG|>": 93, "TILE": 94, "TILE_GLOBAL": 95, "<|START_OF_TURN_TOKEN|>": 81,
        "<|USER_TOKEN|>": 82, "<|CHATBOT_TOKEN|>": 83, "<|SYSTEM_TOKEN|>": 84, "<|START_RESPONSE|>": 85,
        "<|END_RESPONSE|>": 86,
    },
    "mllama": {
        "<|finetune_right_pad_id|>": 0, "<|begin_of_text|>": 1, "<|eot_id|>": 2, "<unk>": 3, "<|image|>": 90,
        "<|start_header_id|>": 81, "<|end_header_id|>": 82, "<|python_tag|>": 83,
    },
}  # fmt: skip
NAMED = {
    "internvl": {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>",
    },
    "gemma3": {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"},
}  # fmt: skip
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
SQUARE = {"height": 16, "width": 16}


class NoVideos(BaseVideoProcessor):
    """Stands where a processor insists on a video processor, which cannot be made without torchvision."""

    merge_size = 2
    model_input_names = ()

    def __init__(self) -> None:
        pass


def without_videos(kind: type) -> type:
    """A processor class that takes ``NoVideos``: its own check looks the real class up, which fails without torchvision."""

    def check(self: Any, name: str, value: Any) -> Any:
        return type(value) if name == "video_processor" else kind.check_argument_for_proper_class(self, name, value)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


@cache
def bpe() -> str:
    """Byte-level BPE with merges over spaces, newlines and words, as a JSON string."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    text = ["USER: How many red squares are there?\n\nASSISTANT: There are three red squares. \n"] * 20
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(text, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer.to_str()


def make_tokenizer(kind: str, bytes_level: bool = False) -> Any:
    """A fast tokenizer with the special tokens of a family."""
    specials = SPECIALS[kind]
    if bytes_level:
        tokenizer = Tokenizer.from_str(bpe())
    else:
        free = iter(i for i in range(4, 200) if i not in specials.values())
        vocabulary = {c: next(free) for c in CHARACTERS} | specials
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in specials])
    by_id = {i: t for t, i in specials.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=by_id[0],
        bos_token=by_id.get(1),
        eos_token=by_id[2],
        unk_token=by_id[3],
        extra_special_tokens=NAMED.get(kind, [by_id[90]]),
    )


def make_processor(family: str, bytes_level: bool = False, template: str | None = None) -> Any:
    """A processor of a family whose pictures become 4 image tokens each (1 for mllama), 16 x 16 pixels."""
    from transformers import (
        AyaVisionProcessor,
        Gemma3Processor,
        Idefics3Processor,
        InternVLProcessor,
        LlavaNextProcessor,
        LlavaProcessor,
        MllamaProcessor,
        PaliGemmaProcessor,
        Qwen2_5_VLProcessor,
        Qwen2VLProcessor,
        Qwen3VLProcessor,
        SmolVLMProcessor,
    )

    if family == "llava":
        pictures = CLIPImageProcessorPil(size=SQUARE, crop_size=SQUARE, do_center_crop=False)
        return LlavaProcessor(
            pictures, make_tokenizer("llava", bytes_level), patch_size=8, vision_feature_select_strategy="default",
            num_additional_image_tokens=1, chat_template=template or LLAVA,
        )  # fmt: skip
    if family == "llava_next":
        pictures = LlavaNextImageProcessorPil(
            size=SQUARE, crop_size=SQUARE, do_center_crop=False, image_grid_pinpoints=[[16, 32], [32, 16]]
        )
        return LlavaNextProcessor(
            pictures, make_tokenizer("llava", bytes_level), patch_size=8, vision_feature_select_strategy="default",
            num_additional_image_tokens=1, chat_template=template or LLAVA_NEXT,
        )  # fmt: skip
    if family == "aya_vision":
        pictures = GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=2)
        return AyaVisionProcessor(
            pictures, make_tokenizer("aya_vision", bytes_level), patch_size=4, img_size=16, downsample_factor=2,
            chat_template=template or AYA,
        )  # fmt: skip
    if family in {"qwen2_vl", "qwen2_5_vl", "qwen3_vl"}:
        kind = {"qwen2_vl": Qwen2VLProcessor, "qwen2_5_vl": Qwen2_5_VLProcessor, "qwen3_vl": Qwen3VLProcessor}[family]
        pictures = Qwen2VLImageProcessorPil(
            patch_size=4, merge_size=2, temporal_patch_size=2, size={"shortest_edge": 256, "longest_edge": 1024}
        )
        return without_videos(kind)(
            pictures, make_tokenizer("qwen", bytes_level), NoVideos(), chat_template=template or QWEN
        )
    if family == "internvl":
        pictures = GotOcr2ImageProcessorPil(size=SQUARE, crop_to_patches=True, min_patches=1, max_patches=2)
        return without_videos(InternVLProcessor)(
            pictures, make_tokenizer("internvl", bytes_level), NoVideos(), image_seq_length=4,
            chat_template=template or INTERNVL,
        )  # fmt: skip
    if family == "gemma3":
        pictures = Gemma3ImageProcessorPil(size=SQUARE, **HALF)
        return Gemma3Processor(
            pictures, make_tokenizer("gemma3", bytes_level), image_seq_length=4, chat_template=template or GEMMA3
        )
    if family == "paligemma":
        pictures = SiglipImageProcessorPil(size=SQUARE, **HALF)
        pictures.image_seq_length = 4
        return PaliGemmaProcessor(pictures, make_tokenizer("paligemma", bytes_level))
    if family in {"idefics3", "smolvlm"}:
        pictured = {"idefics3": Idefics3ImageProcessorPil, "smolvlm": SmolVLMImageProcessorPil}[family]
        kind = {"idefics3": Idefics3Processor, "smolvlm": SmolVLMProcessor}[family]
        pictures = pictured(
            size={"longest_edge": 32}, max_image_size={"longest_edge": 16}, do_image_splitting=False, **HALF
        )
        videos = [NoVideos()] if family == "smolvlm" else []
        processing_smolvlm.num2words = str  # an optional dependency that only videos need
        return without_videos(kind)(
            pictures,
            make_tokenizer("idefics3", bytes_level),
            *videos,
            image_seq_len=4,
            chat_template=template or IDEFICS3,
        )
    assert family == "mllama"
    pictures = MllamaImageProcessorPil(size=SQUARE, max_image_tiles=2, **HALF)
    return MllamaProcessor(pictures, make_tokenizer("mllama", bytes_level), chat_template=template or MLLAMA)


PROCESSORS = (
    "llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "internvl", "gemma3", "paligemma", "idefics3", "smolvlm", "mllama",
    "llava_next", "aya_vision",
)  # fmt: skip
