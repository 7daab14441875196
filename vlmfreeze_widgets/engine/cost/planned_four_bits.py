"""A plan as if its model had been loaded in 4 bits: which weights are packed and what they take. Loading is in
``adapters.transformers_weights``, what a packed weight of a real model takes in ``engine.model.quantized``.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from ...core.cost.plan_memory import nf4_bytes
from ...core.errors import InvalidStrategy
from ...core.strategy.plan import Plan

FOUR_BITS = ("nf4", "4bit")
"""Names of the loader's 4-bit form: NF4 with double quantization on the language model, everything else in bfloat16 (QLoRA)."""
_QUANTIZED = ("language_model", "embeddings")


def plan_in_four_bits(plan: Plan, model: nn.Module) -> tuple[Plan, int]:
    """The plan on a tree whose linear layers of the language model are packed as ``load(..., "4bit")`` packs them.

    Args:
        plan: Of the model's tree.
        model: Real or on meta, not quantized.

    Returns:
        The plan, and the bytes of the largest packed weight unpacked to bfloat16, as each is for its product.

    Raises:
        InvalidStrategy: A weight that would be packed trains in full, or the model is quantized already.
    """
    tree = plan.tree
    linear = {f"{path}.weight" for path, module in model.named_modules() if type(module) is nn.Linear}
    packed = {p.name for p in tree.parameters if p.name in linear and p.component in _QUANTIZED and not p.is_alias}
    if any(p.is_packed for p in tree.parameters):
        raise InvalidStrategy(
            "The weights are quantized already.",
            expected="a model, config or folder in full or half precision",
            found="packed weights",
            remedy="Leave out dtype: the estimate then takes the weights as they are.",
        )
    full = sorted(packed & plan.trainable)
    if full:
        raise InvalidStrategy(
            "Weights in 4 bits cannot train in full.",
            expected="LoRA on, or frozen, linear layers of the language model",
            found=f"{len(full)} that train in full, such as {full[0]}",
            remedy="Use LoRA there, or another dtype.",
        )
    parameters = tuple(
        replace(p, dtype="uint8", nbytes=nf4_bytes(p.params)) if p.name in packed else p for p in tree.parameters
    )
    largest = max((p.params for p in tree.parameters if p.name in packed), default=0)
    return replace(plan, tree=replace(tree, parameters=parameters)), 2 * largest
