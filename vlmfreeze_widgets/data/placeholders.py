"""Image placeholders against image features, counted before anything runs. A mismatch would end a run in the model's forward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .rows import BadRow


def image_token_id(processor: Any, config: Any = None) -> int | None:  # any processor, any config
    """The token of one image feature: the config's word counts first, then the tokenizer's, then the processor's."""
    tokenizer = getattr(processor, "tokenizer", processor)
    places = (
        (config, "image_token_id"),
        (config, "image_token_index"),
        (tokenizer, "image_token_id"),
        (processor, "image_token_id"),
    )
    for owner, name in places:
        found = getattr(owner, name, None)
        if isinstance(found, int):
            return found
    token = getattr(processor, "image_token", None)
    found = tokenizer.convert_tokens_to_ids(token) if token else None
    return found if isinstance(found, int) else None


def check_placeholders(
    tensors: Mapping[str, torch.Tensor],
    pictures: int,
    token: int | None,
    processor: Any,  # any processor
    config: Any = None,  # any config
) -> None:
    """Compares what the text holds with what the vision tower will give.

    Args:
        tensors: Of one row.
        pictures: How many it has.
        token: The id of the image token.
        processor: Says how many tokens a picture takes, where the config is not known.
        config: The model's config, if there is one; its word counts more.

    Raises:
        BadRow: They differ.
    """
    if token is None:
        return
    there = int((tensors["input_ids"] == token).sum())
    if not pictures:
        wanted: int | None = 0
    elif "cross_attention_mask" in tensors or "aspect_ratio_ids" in tensors:
        wanted = pictures  # the pictures come in by cross-attention: one token each
    else:
        wanted = features(tensors, processor, config)
    if wanted is not None and there != wanted:
        raise BadRow("placeholders", f"{there} image placeholders for {wanted} image features")
    if wanted is None and there < pictures:
        raise BadRow("placeholders", f"{there} image placeholders for {pictures} pictures")


def features(tensors: Mapping[str, torch.Tensor], processor: Any, config: Any = None) -> int | None:
    """How many features the pictures of a row become, None where that does not follow from shapes and settings."""
    vision = getattr(config, "vision_config", None)
    grid = tensors.get("image_grid_thw")
    if grid is not None:
        merge = getattr(vision, "spatial_merge_size", None) or getattr(processor.image_processor, "merge_size", 1) or 1
        return int((grid.prod(dim=-1) // merge**2).sum())
    pixels, sizes = tensors.get("pixel_values"), tensors.get("image_sizes")
    if sizes is not None and vision is not None and getattr(config, "model_type", "") == "mistral3":
        side = vision.patch_size * config.spatial_merge_size
        return int((sizes // side).prod(dim=-1).sum())
    if pixels is None or pixels.dim() not in {4, 5} or sizes is not None or hasattr(config, "qformer_config"):
        return None
    tiles = pixels.shape[0] if pixels.dim() == 4 else int(pixels.flatten(0, 1).flatten(1).any(dim=1).sum())
    if vision is None:
        each = getattr(processor, "image_seq_length", None) or getattr(processor, "image_seq_len", None)
        return tiles * each if isinstance(each, int) else None
    each = _features_of_a_tile(pixels, config, vision)
    return None if each is None else tiles * each


def _features_of_a_tile(pixels: torch.Tensor, config: Any, vision: Any) -> int | None:  # any config
    if isinstance(each := getattr(config, "mm_tokens_per_image", None), int):
        return each
    patch = getattr(vision, "patch_size", None)
    patch = patch[0] if isinstance(patch, (list, tuple)) else patch
    if not isinstance(patch, int) or patch < 1:
        return None
    each = (pixels.shape[-2] // patch) * (pixels.shape[-1] // patch)
    if isinstance(scale := getattr(config, "scale_factor", None), int):
        each //= scale**2
    if isinstance(ratio := getattr(config, "downsample_ratio", None), float):
        each = round(each * ratio**2)
    if isinstance(factor := getattr(config, "downsample_factor", None), int):
        each //= factor**2
    if getattr(config, "model_type", "") == "got_ocr2":
        return getattr(config, "image_seq_length", None)
    # "full" keeps the class token, which not every tower has: one more or not cannot be said here.
    return None if getattr(config, "vision_feature_select_strategy", "default") == "full" else each
