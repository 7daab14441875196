"""Which parameters get no gradient by construction: the layers of a vision tower after the one whose features are read.

A static rule from the config, so that it is known before anything runs; the burst's verdict proves it with real gradients.
"""

from __future__ import annotations

import re

from torch import nn

from ...core.tree.tree import ModuleTree

# What follows the encoder and feeds only the pooled output (CLIP, SigLIP); measured: 18 of 80 tensors of a tiny LLaVA.
_AFTER_ENCODER = re.compile(r"(^|\.)(post_layernorm|head)(\.|$)")


def dead_parameters(model: nn.Module, tree: ModuleTree) -> frozenset[str]:
    """Names of parameters that the model's config makes unreachable.

    Models of the LLaVA kind read ``hidden_states[vision_feature_layer]`` (often -2): blocks behind it are computed and dropped.
    """
    config = getattr(model, "config", None)
    layers = getattr(config, "vision_feature_layer", None)
    holder = tree.blocks("vision_tower")
    if layers is None or holder is None:
        return frozenset()
    chosen = list(layers) if isinstance(layers, list | tuple) else [layers]
    if not chosen or not all(isinstance(layer, int) for layer in chosen):
        return frozenset()
    total = len(holder.children)
    # hidden_states has total + 1 entries: 0 is the embedding, k the output of the k-th block.
    used = max(layer if layer >= 0 else total + 1 + layer for layer in chosen)
    if used >= total:
        return frozenset()
    dead = [p.name for block in holder.children[used:] for p in tree.below(block.path)]
    parts = tuple(tree.components.get("vision_tower", ()))
    tower = min((p for p in parts if holder.path.startswith(p)), key=len, default="")
    for parameter in tree.below(tower):
        if parameter.component == "vision_tower" and _AFTER_ENCODER.search(parameter.name.removeprefix(tower)):
            dead.append(parameter.name)
    return frozenset(dead)
