"""Support: fourteen tiny VLMs of different families, built from their configs, and a batch for each. No tests here."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

TEXT: dict[str, Any] = dict(
    vocab_size=96,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    head_dim=8,
)
IMAGE = 90
TOWER: dict[str, Any] = dict(
    hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, image_size=16, patch_size=8
)
FAMILIES: dict[str, dict[str, Any]] = {
    "llava": dict(
        vision_config={"model_type": "clip_vision_model", **TOWER},
        text_config={"model_type": "llama", **TEXT},
        image_token_index=90,
        image_seq_length=4,
    ),
    "vipllava": dict(
        vision_config={"model_type": "clip_vision_model", **TOWER, "num_hidden_layers": 12},
        text_config={"model_type": "llama", **TEXT},
        image_token_index=90,
        image_seq_length=4,
        vision_feature_layers=[-2, -5, -8, -11, 6],
    ),
    "paligemma": dict(
        vision_config={"model_type": "siglip_vision_model", **TOWER, "vision_use_head": False},
        text_config={"model_type": "gemma", **TEXT},
        image_token_index=90,
        projection_dim=32,
        hidden_size=32,
    ),
    "gemma3": dict(
        vision_config={"model_type": "siglip_vision_model", **TOWER, "vision_use_head": False},
        text_config={"model_type": "gemma3_text", **TEXT},
        image_token_index=90,
        mm_tokens_per_image=4,
    ),
    "qwen2_vl": dict(
        vision_config=dict(
            depth=2,
            embed_dim=32,
            hidden_size=32,
            num_heads=4,
            mlp_ratio=2,
            patch_size=4,
            spatial_merge_size=2,
            temporal_patch_size=2,
        ),
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
        image_token_id=90,
        video_token_id=91,
        vision_start_token_id=92,
        vision_end_token_id=93,
    ),
    "qwen2_5_vl": dict(
        vision_config=dict(
            depth=2,
            hidden_size=32,
            out_hidden_size=32,
            intermediate_size=48,
            num_heads=4,
            patch_size=4,
            spatial_merge_size=2,
            temporal_patch_size=2,
            window_size=16,
            fullatt_block_indexes=[1],
        ),
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
        image_token_id=90,
        video_token_id=91,
        vision_start_token_id=92,
        vision_end_token_id=93,
    ),
    "qwen3_vl": dict(
        vision_config=dict(
            depth=3,
            hidden_size=32,
            out_hidden_size=32,
            intermediate_size=48,
            num_heads=4,
            patch_size=4,
            spatial_merge_size=2,
            temporal_patch_size=2,
            num_position_embeddings=16,
            deepstack_visual_indexes=[0],
        ),
        text_config={
            **TEXT,
            "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0},
        },
        image_token_id=90,
        video_token_id=91,
        vision_start_token_id=92,
        vision_end_token_id=93,
        tie_word_embeddings=True,
    ),
    "idefics3": dict(
        vision_config=dict(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=16,
            patch_size=4,
        ),
        text_config={"model_type": "llama", **TEXT},
        image_token_id=90,
        scale_factor=2,
    ),
    "smolvlm": dict(
        vision_config=dict(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=16,
            patch_size=4,
        ),
        text_config={"model_type": "llama", **TEXT},
        image_token_id=90,
        scale_factor=2,
    ),
    "internvl": dict(
        vision_config={"model_type": "internvl_vision", **TOWER, "image_size": [16, 16], "patch_size": [4, 4]},
        text_config={"model_type": "qwen2", **TEXT},
        image_token_id=90,
        image_seq_length=4,
        downsample_ratio=0.5,
    ),
    "mistral3": dict(
        vision_config={
            "model_type": "pixtral",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 16,
            "patch_size": 4,
            "head_dim": 8,
        },
        text_config={"model_type": "mistral", **TEXT},
        image_token_index=90,
        spatial_merge_size=2,
        vision_feature_layer=-1,
    ),
    "aya_vision": dict(
        vision_config={"model_type": "siglip_vision_model", **TOWER, "patch_size": 4, "vision_use_head": False},
        text_config={"model_type": "cohere2", **TEXT},
        image_token_index=90,
        downsample_factor=2,
    ),
    "got_ocr2": dict(
        vision_config=dict(
            hidden_size=32,
            output_channels=16,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=64,
            patch_size=4,
            mlp_dim=48,
            window_size=2,
            global_attn_indexes=[1],
            use_rel_pos=True,
        ),
        text_config={"model_type": "qwen2", **TEXT},
        image_token_index=90,
        image_seq_length=16,
    ),
    "blip-2": dict(
        vision_config=dict(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=16,
            patch_size=8,
        ),
        qformer_config=dict(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            vocab_size=10,
            encoder_hidden_size=32,
        ),
        text_config={
            "model_type": "opt",
            "vocab_size": 96,
            "hidden_size": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": 32,
        },
        num_query_tokens=4,
        image_token_index=90,
    ),
}


def tiny(family: str, seed: int = 0) -> Any:
    """A model of a family, float32, 40 K to 130 K parameters, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForImageTextToText.from_config(AutoConfig.for_model(family, **FAMILIES[family])).float()


def family_batch(family: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Two rows with one picture each and ragged labels."""
    draw = torch.Generator().manual_seed(seed)
    qwen = family.startswith("qwen")
    image = 16 if family == "got_ocr2" else 4  # tokens per picture
    ids = torch.randint(3, 89, (2, 12 + image), generator=draw)
    ids[:, 1 : 1 + image] = IMAGE
    if qwen:
        ids[:, 0] = 92
    labels = ids.clone()
    labels[:, : 2 + image] = -100
    labels[0, 6 + image + seed % 3 :] = -100
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    if qwen:
        batch["pixel_values"] = torch.randn(2 * 16, 3 * 2 * 4 * 4, generator=draw)
        batch["image_grid_thw"] = torch.tensor([[1, 4, 4]] * 2)
        batch["mm_token_type_ids"] = (ids == IMAGE).long()
    elif family in ("idefics3", "smolvlm"):
        batch["pixel_values"] = torch.randn(2, 1, 3, 16, 16, generator=draw)
    else:
        side = 64 if family == "got_ocr2" else 16
        batch["pixel_values"] = torch.randn(2, 3, side, side, generator=draw)
    if family == "gemma3":
        batch["token_type_ids"] = (ids == IMAGE).long()
    if family == "paligemma":
        batch["token_type_ids"] = (labels != -100).long()
    if family == "mistral3":
        batch["image_sizes"] = torch.tensor([[16, 16]] * 2)
    return batch
