"""Optimizers of bitsandbytes, whose state takes a quarter of the memory. torch's own are made in ``engine.step.optimizer``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.errors import MissingLibrary
from ..core.shorten import shorten


def adamw8bit(groups: Sequence[dict[str, Any]], betas: tuple[float, float], eps: float) -> Any:
    """bitsandbytes' AdamW with 8-bit moments; tensors below 4,096 elements keep float32 moments, as it decides itself.

    Args:
        groups: Parameter groups with ``params``, ``lr`` and ``weight_decay``.
        betas: Of Adam.
        eps: Of Adam.

    Raises:
        MissingLibrary: bitsandbytes is not installed, or does not work here.
    """
    try:
        from bitsandbytes.optim import AdamW8bit  # type: ignore[attr-defined]
    except (ImportError, RuntimeError, OSError) as error:
        raise MissingLibrary(
            "The optimizer 'adamw8bit' needs bitsandbytes.",
            expected="bitsandbytes, installed and working",
            found=shorten(f"{type(error).__name__}: {error}", 160),
            remedy="Install bitsandbytes, or use optimizer='adamw' or 'adafactor'.",
        ) from error
    return AdamW8bit(groups, betas=betas, eps=eps)
