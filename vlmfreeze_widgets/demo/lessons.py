"""What the tiny VLM teaches: strategies that work and that do not, and how an answer is scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .scenes import Scene, attributes_right

LESSON_STEPS = 60
LESSON_LR = 2e-3
"""For what trains in a lesson. Twice the rate of LLaVA's first stage; at 5e-3 the projector already does worse."""

LESSONS: dict[str, dict[str, str]] = {
    "projector only": {"projector": "full"},
    "head only": {"head": "full"},
    "projector and vision tower": {"projector": "full", "vision_tower": "full"},
}


def answers(model: Any, processor: Any, scenes: Sequence[Scene], prompt: str) -> list[str]:
    """The model's captions, decoded greedily."""
    mode = model.training
    model.eval()
    batch = processor(images=[s.draw() for s in scenes], text=[prompt] * len(scenes), return_tensors="pt")
    with torch.no_grad():
        out = model.generate(**batch, max_new_tokens=24, do_sample=False)
    model.train(mode)
    texts = processor.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    return [str(text).strip() for text in texts]


def score(texts: Sequence[str], scenes: Sequence[Scene]) -> tuple[float, float]:
    """Share of attributes right, share of captions right."""
    hits = [attributes_right(text, scene.caption) for text, scene in zip(texts, scenes, strict=True)]
    exact = [text == scene.caption for text, scene in zip(texts, scenes, strict=True)]
    return sum(hits) / len(hits), sum(exact) / len(exact)
