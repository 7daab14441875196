"""Rows that are too long: the tail of the answer is cut, a picture never. What cannot be cut so is left out."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..engine.batches.micro_batch import IGNORED
from .rows import BadRow

PER_TOKEN = (
    "input_ids", "attention_mask", "labels", "token_type_ids", "mm_token_type_ids", "position_ids", "cross_attention_mask",
    "special_tokens_mask",
)  # fmt: skip
"""Tensors whose second dimension counts tokens."""


def fit(
    tensors: Mapping[str, torch.Tensor], longest: int | None, image_token: int | None
) -> tuple[dict[str, torch.Tensor], int]:
    """Cuts a row to a length.

    Args:
        tensors: Of one row, (1, tokens) where they are per token.
        longest: Most tokens of a row; None for no limit.
        image_token: The id of the image token.

    Returns:
        The tensors, and how many tokens were cut from the end.

    Raises:
        BadRow: Cutting would take an image token away, or leave no token to learn from.
    """
    found = dict(tensors)
    ids = found["input_ids"]
    over = 0 if longest is None else ids.shape[1] - longest
    if over <= 0:
        return found, 0
    if image_token is not None and bool((ids[:, longest:] == image_token).any()):
        raise BadRow("too-long", f"{ids.shape[1]} tokens, and cutting at {longest} would cut a picture")
    # The first label is never used: there is nothing before it to predict it from.
    if not bool((found["labels"][:, 1:longest] != IGNORED).any()):
        raise BadRow("too-long", f"{ids.shape[1]} tokens, and the first {longest} hold nothing of an answer")
    for name in PER_TOKEN:
        if name in found:
            found[name] = found[name][:, :longest]
    return found, over
