"""The architecture of the tiny VLM and its processor, from nothing: what ``train`` fills and ``demo()`` loads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .scenes import COLOURS, GLYPHS, PLACES, SHAPES, SIDE, Scene

PATCH = 16
WIDTH = 128
SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>")
PROMPT = "<s> <image> describe :"
"""What comes before a caption."""


def words() -> list[str]:
    """The vocabulary: special tokens, the words of the captions, and one word per glyph (and ``empty``) for text-only grids."""
    words = [
        "describe",
        ":",
        "a",
        "in",
        "the",
        "and",
        *COLOURS,
        *SHAPES,
        *dict.fromkeys(w for p in PLACES for w in p.split()),
    ]
    return [*SPECIAL, *words, "empty", *GLYPHS]


def text_row(scene: Scene, index: Mapping[str, int]) -> list[int]:
    """A scene in words alone: the names of the glyphs stand where the picture's features would be."""
    grid = ["empty" if g is None else GLYPHS[g] for g in scene.grid()]
    before, after = PROMPT.split("<image>")
    return [index[w] for w in [*before.split(), *grid, *after.split(), *scene.caption.split(), "</s>"]]


def make_processor() -> Any:  # LlavaProcessor
    """A real ``LlavaProcessor``: CLIP's image processor (the one without torchvision) and a word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlavaProcessor, PreTrainedTokenizerFast
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    vocabulary = {word: i for i, word in enumerate(words())}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
        padding_side="right",
        model_max_length=64,
    )
    pictures = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=fast,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
    )


def make_model(seed: int) -> Any:  # LlavaForConditionalGeneration
    """A real ``LlavaForConditionalGeneration`` of 1.3 M parameters with fresh weights.

    The defaults that matter are LLaVA's own: features of the last but one vision layer, without the class token, so the
    last layer gets no gradient; and embeddings and head are two tensors, so that each can be tuned.
    """
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

    vocabulary = {word: i for i, word in enumerate(words())}
    vision = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
    )
    text = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        pad_token_id=vocabulary["<pad>"],
        bos_token_id=vocabulary["<s>"],
        eos_token_id=vocabulary["</s>"],
        tie_word_embeddings=False,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=vocabulary["<image>"],
        image_seq_length=(SIDE // PATCH) ** 2,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaForConditionalGeneration(config)
    model.generation_config.pad_token_id = vocabulary["<pad>"]
    model.generation_config.eos_token_id = vocabulary["</s>"]
    return model.float()
