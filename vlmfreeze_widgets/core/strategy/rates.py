"""Default learning rates where a strategy names none. Numbers from published recipes, each with its source."""

from __future__ import annotations

# LLaVA-1.5 scripts/v1_5: pretrain.sh trains the projector at 1e-3, finetune.sh everything at 2e-5, finetune_lora.sh the
# LoRA of the language model at 2e-4. A vision tower that trains beside a language model gets 2-10x less (LLaVA-NeXT,
# SmolVLM2, Molmo: 2e-6 .. 6e-6).
_FULL: dict[str, float] = {"projector": 1e-3, "audio_projector": 1e-3, "vision_tower": 5e-6, "audio_tower": 5e-6}
_FULL_ELSEWHERE = 2e-5
_LORA = 2e-4

DEFAULT_WEIGHT_DECAY = 0.0
"""LLaVA, SmolVLM2 and Qwen-VL scripts all train with weight decay 0."""


def default_lr(component: str, kind: str) -> float:
    """The rate of a component that trains in full or by LoRA (``kind``) when the strategy names none."""
    return _LORA if kind == "lora" else _FULL.get(component, _FULL_ELSEWHERE)
