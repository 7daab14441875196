"""Support: a tiny LLaVA and its batches, made from a config in milliseconds. No tests here; other families are in families.py."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from tests import where

IMAGE = 63


def tiny_llava(seed: int = 0, tie: bool = False, dropout: float = 0.0, feature_layer: int = -2) -> Any:
    """A real LlavaForConditionalGeneration of 57 K parameters."""
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=16, patch_size=8
    )
    text = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, attention_dropout=dropout, tie_word_embeddings=tie,
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=IMAGE, image_seq_length=4, tie_word_embeddings=tie,
        vision_feature_layer=feature_layer,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlavaForConditionalGeneration(config).float().to(where.DEVICE)


def batch(seed: int = 0, rows: int = 2, tokens: int = 12) -> dict[str, torch.Tensor]:
    """A batch with four image tokens per row and ragged labels."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 60, (rows, tokens), generator=draw)
    ids[:, 1:5] = IMAGE
    labels = ids.clone()
    labels[:, :6] = -100
    labels[0, 8 + seed % 3 :] = -100
    return where.placed(
        {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "pixel_values": torch.randn(rows, 3, 16, 16, generator=draw),
            "labels": labels,
        }
    )


def batches(count: int = 4) -> list[dict[str, torch.Tensor]]:
    """Several of them."""
    return [batch(seed) for seed in range(count)]


def fingerprint(model: nn.Module) -> dict[str, Any]:
    """Everything that must be as before after a burst: values by SHA-256, flags, modes, hooks, modules, attributes."""
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {
        "values": {n: (sha(t), str(t.dtype), str(t.device), id(t)) for n, t in tensors},
        "flags": {n: (p.requires_grad, p.grad is None) for n, p in model.named_parameters()},
        "modes": {n: m.training for n, m in model.named_modules()},
        "modules": {n: (type(m).__name__, id(m)) for n, m in model.named_modules()},
        "hooks": {n: [len(v) for k, v in vars(m).items() if k.endswith("_hooks")] for n, m in model.named_modules()},
        "attributes": {n: sorted(vars(m)) for n, m in model.named_modules()},
        "forward": {n: getattr(m.forward, "__func__", m.forward) for n, m in model.named_modules()},
    }


def differences(after: dict[str, Any], before: dict[str, Any]) -> int:
    """How many entries of two fingerprints differ, or are in only one."""
    return sum(
        after[kind].get(name) != before[kind].get(name) for kind in before for name in {*before[kind], *after[kind]}
    )


def sha(tensor: torch.Tensor) -> str:
    """SHA-256 of a tensor's bytes."""
    flat = tensor.detach().contiguous().reshape(-1).cpu()
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest() if flat.numel() else ""
