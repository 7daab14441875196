"""Synthetic mixtures of experts of any number of modules on the meta device: subjects of the measurements of scale. It
measures nothing itself.
"""

from __future__ import annotations

import torch
from torch import nn

_WIDTH, _INNER, _VISION = 2048, 768, 1024
_TOWER_BLOCKS = 27
_LAYERS = 48
_PER_EXPERT = 4  # the expert and its three linear layers


class Attention(nn.Module):
    """Four projections."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width // 8, bias=False)
        self.v_proj, self.o_proj = nn.Linear(width, width // 8, bias=False), nn.Linear(width, width, bias=False)


class Mlp(nn.Module):
    """A gated MLP: one expert, or the shared one."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)


class Mixture(nn.Module):
    """A router beside a list of experts, as checkpoints of before transformers 5 have it."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.num_experts, self.top_k = experts, max(1, min(8, experts - 1))
        self.gate = nn.Linear(_WIDTH, max(experts, 1), bias=False)
        self.experts = nn.ModuleList(Mlp(_WIDTH, _INNER) for _ in range(experts))


class Block(nn.Module):
    """One layer of the language model; without experts a dense one."""

    def __init__(self, experts: int) -> None:
        super().__init__()
        self.self_attn = Attention(_WIDTH)
        self.mlp: nn.Module = Mixture(experts) if experts else Mlp(_WIDTH, 4 * _WIDTH)
        self.input_layernorm, self.post_attention_layernorm = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)


class TowerBlock(nn.Module):
    """One layer of the vision tower."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = Attention(_VISION)
        self.fc1, self.fc2 = nn.Linear(_VISION, 4 * _VISION), nn.Linear(4 * _VISION, _VISION)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(_VISION), nn.LayerNorm(_VISION)


class Tower(nn.Module):
    """Patches and blocks."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, _VISION, 14, 14)
        self.layers = nn.ModuleList(TowerBlock() for _ in range(blocks))


class LanguageModel(nn.Module):
    """Embeddings, layers, norm."""

    def __init__(self, experts: list[int]) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(151_936, _WIDTH)
        self.layers = nn.ModuleList(Block(count) for count in experts)
        self.norm = nn.LayerNorm(_WIDTH)


class ScaleVlm(nn.Module):
    """A vision-language model with as many experts as make up a number of modules."""

    def __init__(self, tower: int, experts: list[int]) -> None:
        super().__init__()
        self.vision_tower = Tower(tower)
        self.multi_modal_projector = nn.Sequential(nn.Linear(_VISION, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, _WIDTH))
        self.language_model = LanguageModel(experts)
        self.lm_head = nn.Linear(_WIDTH, 151_936, bias=False)


def scale_model(modules: int) -> nn.Module:
    """A model of nearly so many modules, without weights.

    Args:
        modules: From about 300 on; what is missing to the next whole expert is left out.
    """
    few = modules < 1000
    tower, layers = (8, 16) if few else (_TOWER_BLOCKS, _LAYERS)
    with torch.device("meta"):
        bare = sum(1 for _ in ScaleVlm(tower, [0] * layers).modules())
        # A mixture has as many modules of its own as the dense MLP it replaces has, less one linear layer.
        whole = max(0, (modules - bare + layers) // _PER_EXPERT)
        experts = [whole // layers + (i < whole % layers) for i in range(layers)]
        return ScaleVlm(tower, experts)
