"""A typical batch for a model that is known only by its config: one picture and some text per row.

How many image tokens a picture takes is asked of the model's own ``get_image_features``, run on fake tensors. The few families
that have no such method have a rule here. A user's own batch is always the better one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ...core.errors import BadBatch
from ...core.shorten import shorten

TEXT_TOKENS = 256
_SIDE = 448  # of a picture where the config names no size
_MOST_TOKENS = 1 << 25  # their ids are the one thing that is really made
_IMAGE_IDS = ("image_token_id", "image_token_index")
_TEXT_ID = 5  # any token that stands for no picture


def typical_batch(
    model: nn.Module,
    features: Callable[[Mapping[str, Any]], Any],
    rows: int = 1,
    picture_size: int | tuple[int, int] | None = None,
    text_tokens: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, torch.Tensor]:
    """A batch on which the model computes a loss.

    Args:
        model: Any transformers VLM with a config; only its config and signatures are read.
        features: Runs ``get_image_features`` with keyword arguments on fake tensors.
        rows: Of the batch.
        picture_size: (height, width) or a side in pixels; None: what the config names, else 448.
        text_tokens: Per row beside the image tokens; None: 256. All of them are labels.
        dtype: Of the pictures: not every tower converts them to its own.

    Returns:
        Integers as a processor makes them, pictures of noise.

    Raises:
        BadBatch: The family is not known here.
    """
    text = TEXT_TOKENS if text_tokens is None else text_tokens
    takes = set(inspect.signature(model.forward).parameters)
    config = getattr(model, "config", None)
    vision = getattr(config, "vision_config", None)
    pictures = _pictures(config, vision, takes, rows, picture_size)
    if pictures is None:
        raise BadBatch(
            f"No typical batch is known for {type(model).__name__}.",
            expected="a model whose pictures go in as pixel_values",
            found=shorten(f"arguments {', '.join(sorted(takes))}", 200),
            remedy="Give a batch of your own: batch=next(iter(batches)).",
        )
    if rows * text > _MOST_TOKENS:
        raise BadBatch(
            "This batch is too large to be made.",
            expected=f"at most {_MOST_TOKENS:,} text tokens",
            found=f"{rows * text:,}",
            remedy="Take fewer rows or a shorter text.",
        )
    pictures = {k: v.to(dtype) if v.is_floating_point() else v for k, v in pictures.items()}
    tokens = _image_tokens(pictures, features, config, vision, rows)
    return {**_text(config, takes, rows, tokens, text, pictures), **pictures}


def _text(
    config: Any,  # of any family
    takes: set[str],
    rows: int,
    tokens: int,
    text: int,
    pictures: dict[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    named = ((part, n) for part in (config, getattr(config, "vision_config", None)) for n in _IMAGE_IDS)
    image = next((i for part, n in named if (i := getattr(part, n, None)) is not None), None)
    ids = torch.full((rows, tokens + text), _TEXT_ID)
    start = getattr(config, "vision_start_token_id", getattr(config, "image_start_token_id", None))
    if start is not None and text > 1:
        ids[:, 0] = start
    at = 1 if text else 0
    shown = torch.zeros_like(ids, dtype=torch.bool)
    shown[:, at : at + tokens] = True
    if image is not None:
        ids[shown] = image
    made = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.masked_fill(shown, -100)}
    if "mm_token_type_ids" in takes:
        made["mm_token_type_ids"] = shown.long()
    if "token_type_ids" in takes:
        # PaliGemma marks what is answered, Gemma 3 what is picture.
        made["token_type_ids"] = (~shown).long() if getattr(config, "model_type", "") == "paligemma" else shown.long()
    if "image_embeds_position_mask" in takes:
        made["image_embeds_position_mask"] = shown.long()
    if "cross_attention_mask" in takes:
        tiles = pictures["pixel_values"].shape[2]
        made["cross_attention_mask"] = torch.ones(rows, ids.shape[1], 1, tiles, dtype=torch.long)
    return made


def _pictures(
    config: Any,  # of any family
    vision: Any,
    takes: set[str],
    rows: int,
    wanted: int | tuple[int, int] | None,
) -> dict[str, torch.Tensor] | None:
    kind = str(getattr(config, "model_type", ""))
    patch = _side_of(getattr(vision, "patch_size", None) or getattr(config, "patch_size", None)) or 14
    named = _side_of(getattr(vision, "image_size", None))
    height, width = _pair(wanted if wanted is not None else _SIDE if "image_grid_thw" in takes or not named else named)
    channels = getattr(vision, "num_channels", None) or getattr(vision, "in_channels", None) or 3
    if "image_grid_thw" in takes:
        unit = patch * (getattr(vision, "spatial_merge_size", None) or 2)
        h, w = (max(unit, round(x / unit) * unit) // patch for x in (height, width))
        depth = getattr(vision, "temporal_patch_size", None) or 1
        return {
            "pixel_values": _noise(rows * h * w, channels * depth * patch * patch),
            "image_grid_thw": torch.tensor([[1, h, w]] * rows),
        }
    if kind == "fuyu":
        patch = _side_of(getattr(config, "patch_size", None)) or 30
        count = math.ceil(height / patch) * math.ceil(width / patch)
        return {"pixel_values": _noise(rows, count, patch * patch * 3)}
    if "aspect_ratio_ids" in takes:
        tiles = int(getattr(vision, "max_num_tiles", 1))
        supported = [tuple(r) for r in getattr(vision, "supported_aspect_ratios", [[1, 1]])]
        used = 1 if wanted is None else min(tiles, math.ceil(height / named) * math.ceil(width / named))
        mask = (torch.arange(tiles) < used).long().expand(rows, 1, tiles).clone()
        ratio = next((i for i, (a, b) in enumerate(supported) if a * b == used), 0) + 1
        return {
            "pixel_values": _noise(rows, 1, tiles, channels, named, named),
            "aspect_ratio_ids": torch.full((rows, 1), ratio),
            "aspect_ratio_mask": mask,
        }
    if "image_pixel_values" in takes:
        # Phi-4: the whole picture and its crops, with a mask that has one place per patch.
        crop = int(getattr(vision, "crop_size", named) or named)
        down, across = (max(1, round(x / crop)) for x in (height, width))
        crops = 1 + down * across
        return {
            "image_pixel_values": _noise(rows, crops, channels, crop, crop),
            "image_sizes": torch.tensor([[down * crop, across * crop]] * rows),
            "image_attention_mask": torch.ones(rows, crops, crop // patch, crop // patch, dtype=torch.long),
        }
    points = getattr(config, "image_grid_pinpoints", None)
    if points and "image_sizes" in takes and named:
        point = min(points, key=lambda p: (abs(p[0] - height) + abs(p[1] - width), p[0] * p[1]))
        tiles = (point[0] // named) * (point[1] // named) + 1
        return {
            "pixel_values": _noise(rows, tiles, channels, named, named),
            "image_sizes": torch.tensor([[height, width]] * rows),
        }
    if "pixel_values" not in takes:
        return None
    if kind in ("pixtral", "mistral3") or "pixtral" in str(getattr(vision, "model_type", "")):
        unit = patch * (getattr(config, "spatial_merge_size", None) or 1)
        height, width = (max(unit, round(x / unit) * unit) for x in (height, width))
        return {
            "pixel_values": _noise(rows, channels, height, width),
            "image_sizes": torch.tensor([[height, width]] * rows),
        }
    if "pixel_attention_mask" in takes:
        return {
            "pixel_values": _noise(rows, 1, channels, height, width),
            "pixel_attention_mask": torch.ones(rows, 1, height, width, dtype=torch.long),
        }
    if "pixel_mask" in takes:
        return {
            "pixel_values": _noise(rows, channels, height, width),
            "pixel_mask": torch.ones(rows, height, width, dtype=torch.bool),
        }
    return {"pixel_values": _noise(rows, channels, height, width)}


def _image_tokens(
    pictures: Mapping[str, torch.Tensor],
    features: Callable[..., Any],
    config: Any,
    vision: Any,
    rows: int,
) -> int:
    """Per row."""
    if "image_grid_thw" in pictures:
        merge = int(getattr(vision, "spatial_merge_size", None) or 2)
        return int(pictures["image_grid_thw"][0].prod()) // merge**2
    if "aspect_ratio_ids" in pictures:
        return 1
    if "image_pixel_values" in pictures:
        side = (pictures["image_attention_mask"].shape[-1] + 1) // 2
        crop = pictures["image_pixel_values"].shape[-1]
        down, across = (int(x) // crop for x in pictures["image_sizes"][0])
        # Rows of both end with a separator, and one stands between them.
        return side * (side + 1) + 1 + down * side * (across * side + 1)
    if getattr(config, "latent_query_num", None):
        return int(config.latent_query_num)
    if getattr(config, "model_type", "") == "fuyu":
        return pictures["pixel_values"].shape[1]
    found = features(pictures)
    for name in ("pooler_output", "image_embeds", "last_hidden_state"):
        value = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
        if value is not None:
            return _places(value) // rows
    return _places(found) // rows


def _places(features: Any) -> int:  # a tensor, or one per picture
    parts = list(features) if isinstance(features, list | tuple) else [features]
    return sum(p.numel() // p.shape[-1] for p in parts)


def _noise(*shape: int) -> torch.Tensor:
    # No picture is all zeros: some models drop those as padding.
    return torch.ones(1).expand(shape).clone() if math.prod(shape) < 1 << 28 else torch.ones(1).expand(shape)


def _side_of(value: Any) -> int:  # a config's size: a number, a pair, a mapping or nothing
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        value = value[0] if value else 0
    return int(value or 0)


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
