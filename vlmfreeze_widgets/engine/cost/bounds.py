"""Bounds where a model's code cannot be traced: the least is what stands, the most a rule for transformers that keep everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...core.cost.estimate import CostEstimate
from ...core.cost.static_memory import standing_cost
from ...core.strategy.plan import Plan
from ...core.tree.tree import ModuleTree

_PICTURE_TOKENS = 4096  # more than any family of the catalogue makes of one picture as it comes by default


def most_activations(config: Any, tree: ModuleTree, rows: int, text_tokens: int) -> int | None:
    """Bytes that the blocks of a model can keep in float32 with plain attention.

    Per block and token 34 values of the hidden width and 5 of each head's row of scores, of 16 bits (Korthikanti et al. 2022,
    "Reducing Activation Recomputation", equation 1); doubled for float32, and once more for gated layers.

    Args:
        config: Of the model.
        tree: Of the model.
        rows: Of a micro-batch.
        text_tokens: Per row; one picture comes on top.

    Returns:
        None where the config does not name its sizes.
    """
    total = 0
    tokens = text_tokens + _PICTURE_TOKENS
    for name, component in (("text_config", "language_model"), ("vision_config", "vision_tower")):
        part = getattr(config, name, config if component == "language_model" else None)
        blocks = tree.blocks(component)
        if part is None or blocks is None:
            continue
        width = getattr(part, "hidden_size", None)
        heads = getattr(part, "num_attention_heads", None) or getattr(part, "num_heads", None)
        if not isinstance(width, int) or not isinstance(heads, int):
            return None
        total += len(blocks.children) * rows * tokens * (34 * width + 5 * heads * tokens) * 4
    vocabulary = getattr(getattr(config, "text_config", config), "vocab_size", 0) or 0
    return total + 12 * rows * tokens * int(vocabulary) if total else None


def bounds(
    plan: Plan,
    config: Any,  # of any family
    settings: Mapping[str, Any],
    dtype: str | None,
    size: tuple[int, int],
    why: str,
) -> CostEstimate:
    """What is certain without the model's code, as if a gradient reached all that trains; and an upper limit by rule.

    Args:
        plan: Of its tree.
        config: Of the model.
        settings: As an estimate keeps them.
        dtype: To which weights are converted; None: as they are.
        size: Rows, and text tokens per row.
        why: There is no trace; a sentence.
    """
    least = standing_cost(
        plan, settings, dtype, size[0], (f"{why} The memory shown is the least, without any activation.",)
    )
    most = most_activations(config, plan.tree, *size)
    return least if most is None else replace(least, upper_bytes=least.peak_bytes + most)
