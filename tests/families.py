"""Support: seventeen tiny VLMs, float32 and seeded, each with a valid training batch. No tests and no asserts here.

``family_batch`` serves ``FAMILIES``; ``tiny_batch`` serves ``TINY_FAMILIES``, which has tiles and a homemade module besides.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.modeling_outputs import CausalLMOutput

from tests import where

# fmt: off
TEXT: dict[str, Any] = dict(
    vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, head_dim=8,
    num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2,
)
IMAGE = 90
BLOCKS: dict[str, Any] = dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, image_size=16)
TOWER: dict[str, Any] = dict(**BLOCKS, num_hidden_layers=3, patch_size=8)
SHORT_TOWER: dict[str, Any] = dict(**BLOCKS, num_hidden_layers=2, patch_size=4)
SIGLIP: dict[str, Any] = {"model_type": "siglip_vision_model", **TOWER, "vision_use_head": False}
LLAMA: dict[str, Any] = {"model_type": "llama", **TEXT}
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
QWEN: dict[str, Any] = dict(
    text_config={**TEXT, "rope_parameters": ROPE},
    image_token_id=90, video_token_id=91, vision_start_token_id=92, vision_end_token_id=93,
)
QWEN_TOWER: dict[str, Any] = dict(
    hidden_size=32, num_heads=4, patch_size=4, spatial_merge_size=2, temporal_patch_size=2
)
FAMILIES: dict[str, dict[str, Any]] = {
    "llava": dict(
        vision_config={"model_type": "clip_vision_model", **TOWER},
        text_config=LLAMA, image_token_index=90, image_seq_length=4,
    ),
    "vipllava": dict(
        vision_config={"model_type": "clip_vision_model", **TOWER, "num_hidden_layers": 12},
        text_config=LLAMA, image_token_index=90, image_seq_length=4, vision_feature_layers=[-2, -5, -8, -11, 6],
    ),
    "paligemma": dict(
        vision_config=SIGLIP, text_config={"model_type": "gemma", **TEXT},
        image_token_index=90, projection_dim=32, hidden_size=32,
    ),
    "gemma3": dict(
        vision_config=SIGLIP, text_config={"model_type": "gemma3_text", **TEXT},
        image_token_index=90, mm_tokens_per_image=4,
    ),
    "qwen2_vl": dict(vision_config=dict(**QWEN_TOWER, depth=2, embed_dim=32, mlp_ratio=2), **QWEN),
    "qwen2_5_vl": dict(
        vision_config=dict(
            **QWEN_TOWER, depth=2, out_hidden_size=32, intermediate_size=48, window_size=16, fullatt_block_indexes=[1]
        ),
        **QWEN,
    ),
    "qwen3_vl": dict(
        vision_config=dict(
            **QWEN_TOWER, depth=3, out_hidden_size=32, intermediate_size=48,
            num_position_embeddings=16, deepstack_visual_indexes=[0],
        ),
        tie_word_embeddings=True, **QWEN,
    ),
    "idefics3": dict(vision_config=SHORT_TOWER, text_config=LLAMA, image_token_id=90, scale_factor=2),
    "smolvlm": dict(vision_config=SHORT_TOWER, text_config=LLAMA, image_token_id=90, scale_factor=2),
    "internvl": dict(
        vision_config={"model_type": "internvl_vision", **TOWER, "image_size": [16, 16], "patch_size": [4, 4]},
        text_config={"model_type": "qwen2", **TEXT}, image_token_id=90, image_seq_length=4, downsample_ratio=0.5,
    ),
    "mistral3": dict(
        vision_config={"model_type": "pixtral", **SHORT_TOWER, "head_dim": 8},
        text_config={"model_type": "mistral", **TEXT},
        image_token_index=90, spatial_merge_size=2, vision_feature_layer=-1,
    ),
    "aya_vision": dict(
        vision_config={**SIGLIP, "patch_size": 4}, text_config={"model_type": "cohere2", **TEXT},
        image_token_index=90, downsample_factor=2,
    ),
    "got_ocr2": dict(
        vision_config=dict(
            hidden_size=32, output_channels=16, num_hidden_layers=2, num_attention_heads=4, image_size=64, patch_size=4,
            mlp_dim=48, window_size=2, global_attn_indexes=[1], use_rel_pos=True,
        ),
        text_config={"model_type": "qwen2", **TEXT}, image_token_index=90, image_seq_length=16,
    ),
    "blip-2": dict(
        vision_config={**SHORT_TOWER, "patch_size": 8},
        qformer_config=dict(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=10,
            encoder_hidden_size=32,
        ),
        text_config={
            "model_type": "opt", "vocab_size": 96, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2,
            "num_attention_heads": 4, "max_position_embeddings": 64, "word_embed_proj_dim": 32,
        },
        num_query_tokens=4, image_token_index=90,
    ),
}
# Their pictures have a shape of their own, so family_batch does not serve them.
TILED: dict[str, dict[str, Any]] = {
    "llava_next": dict(
        vision_config={"model_type": "clip_vision_model", **TOWER}, text_config=LLAMA, image_token_index=90,
        image_grid_pinpoints=[[16, 32], [32, 16]],
    ),
    "mllama": dict(
        vision_config=dict(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_global_layers=1, attention_heads=4,
            image_size=16, patch_size=8, max_num_tiles=2, supported_aspect_ratios=[[1, 1], [1, 2], [2, 1]],
            intermediate_layers_indices=[0], vision_output_dim=64,
        ),
        text_config={
            **TEXT, "num_hidden_layers": 3, "cross_attention_layers": [1],
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
        image_token_index=90,
    ),
}
# fmt: on


class PlainVlm(nn.Module):
    """A homemade VLM without a config: BatchNorm buffers in the tower, dropout in the language model, a tied head."""

    def __init__(self) -> None:
        super().__init__()
        self.vision_tower = nn.Sequential(nn.Conv2d(3, 16, 8, stride=8), nn.BatchNorm2d(16), nn.GELU())
        self.projector = nn.Linear(16, 32)
        self.image_newline = nn.Parameter(torch.zeros(32))
        self.language_model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(96, 32),
                "block": nn.TransformerEncoderLayer(32, 4, 48, dropout=0.1, batch_first=True),
                "norm": nn.LayerNorm(32),
            }
        )
        self.lm_head = nn.Linear(32, 96, bias=False)
        self.lm_head.weight = nn.init.normal_(self.get_parameter("language_model.embed_tokens.weight"), std=0.1)

    def forward(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> CausalLMOutput:
        """Next-token logits, and their mean loss over the labels that are not -100."""
        seen = self.projector(self.vision_tower(pixel_values).flatten(2).transpose(1, 2)) + self.image_newline
        hidden = self.language_model["embed_tokens"](input_ids)
        hidden = hidden.masked_scatter((input_ids == IMAGE).unsqueeze(-1), seen)
        later = torch.ones(input_ids.shape[1], input_ids.shape[1], dtype=torch.bool, device=hidden.device).triu(1)
        padding = None if attention_mask is None else attention_mask == 0
        hidden = self.language_model["block"](hidden, src_mask=later, src_key_padding_mask=padding)
        logits = self.lm_head(self.language_model["norm"](hidden))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(loss=loss, logits=logits)


def tiny(family: str, seed: int = 0) -> Any:
    """A model of a family, float32, 10 K to 130 K parameters, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if family == "plain":
            return PlainVlm().to(where.DEVICE)
        config = AutoConfig.for_model(family, **(FAMILIES | TILED)[family])
        return AutoModelForImageTextToText.from_config(config).float().to(where.DEVICE)  # type: ignore[no-untyped-call]


TINY_FAMILIES: dict[str, Callable[[], nn.Module]] = {name: partial(tiny, name) for name in (*FAMILIES, *TILED, "plain")}
"""Family name -> its tiny model, in training mode. As transformers initialises them, nothing reaches the tower in the first
step of gemma3 (projection 0) and mllama (gates 0); after one step of everything else it does."""


def family_batch(family: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Two rows with one picture each and ragged labels."""
    ids, image = _tokens(family, draw := torch.Generator().manual_seed(seed), rows=2)
    labels = ids.clone()
    labels[:, : 2 + image] = -100
    labels[0, 6 + image + seed % 3 :] = -100
    return _with_pictures(family, draw, ids, torch.ones_like(ids), labels)


def tiny_batch(
    model_or_name: nn.Module | str, seed: int = 0, batch: int = 2, ragged: bool = True
) -> dict[str, torch.Tensor]:
    """A batch on which ``model(**batch).loss.backward()`` works.

    Args:
        model_or_name: A model of ``TINY_FAMILIES``, also inside a PeftModel, or its name.
        seed: Same seed, same batch.
        batch: Rows; each has one picture.
        ragged: Rows are padded on the right to differing lengths and have differing numbers of label tokens.
    """
    config = getattr(model_or_name, "config", None)  # a PeftModel passes on its base model's
    family = model_or_name if isinstance(model_or_name, str) else getattr(config, "model_type", "plain")
    draw = torch.Generator().manual_seed(seed)
    ids, image = _tokens(family, draw, rows=batch)
    mask, labels = torch.ones_like(ids), ids.clone()
    labels[:, : 2 + image] = -100
    for row in range(batch if ragged else 0):
        padding = (row + seed) % 4
        if padding:
            ids[row, -padding:], mask[row, -padding:], labels[row, -padding:] = 0, 0, -100
    return _with_pictures(family, draw, ids, mask, labels)


def _tokens(family: str, draw: torch.Generator, rows: int) -> tuple[torch.Tensor, int]:
    """Ids of shape (rows, 12 + image tokens) without padding, and how many image tokens a row has."""
    image = {"got_ocr2": 16, "llava_next": 14, "mllama": 1}.get(family, 4)
    ids = torch.randint(3, 89, (rows, 12 + image), generator=draw)
    ids[:, 1 : 1 + image] = IMAGE
    if family.startswith("qwen"):
        ids[:, 0] = 92
    return ids, image


def _with_pictures(
    family: str, draw: torch.Generator, ids: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor
) -> dict[str, torch.Tensor]:
    rows, length = ids.shape
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    side = 64 if family == "got_ocr2" else 16
    shape: tuple[int, ...] = (rows, 3, side, side)
    if family.startswith("qwen"):
        shape = (rows * 16, 3 * 2 * 4 * 4)  # 16 patches per picture, each flattened
        batch["image_grid_thw"] = torch.tensor([[1, 4, 4]] * rows)
        batch["mm_token_type_ids"] = (ids == IMAGE).long()
    elif family in ("idefics3", "smolvlm"):
        shape = (rows, 1, 3, 16, 16)
        batch["pixel_attention_mask"] = torch.ones(rows, 1, 16, 16, dtype=torch.long)
    elif family == "llava_next":
        shape = (rows, 3, 3, 16, 16)  # the whole picture and two crops: 4 + 2 x 4 tokens and 2 newlines
        batch["image_sizes"] = torch.tensor([[16, 32]] * rows)
    elif family == "mllama":
        shape = (rows, 1, 2, 3, 16, 16)
        batch["aspect_ratio_ids"] = torch.full((rows, 1), 2)
        batch["aspect_ratio_mask"] = torch.ones(rows, 1, 2, dtype=torch.long)
        batch["cross_attention_mask"] = mask[:, :, None, None].expand(rows, length, 1, 2).clone()
    elif family == "mistral3":
        batch["image_sizes"] = torch.tensor([[16, 16]] * rows)
    elif family == "gemma3":
        batch["token_type_ids"] = (ids == IMAGE).long()
    elif family == "paligemma":
        batch["token_type_ids"] = (labels != -100).long()
    batch["pixel_values"] = torch.randn(shape, generator=draw)
    return where.placed(batch)
