"""Before and after in words: the model's answers to a few questions about pictures, greedily, while it trains.

When they are asked is decided in ``engine.burst.burst``; how much of other abilities is left is measured in
``engine.evidence.retention``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ...core.arguments import TEXT, Kind, fields_checked
from ...core.errors import BadBatch
from ...core.shorten import shorten


@dataclass(frozen=True)
class Question:
    """A question whose answer is watched.

    Attributes:
        inputs: What ``generate`` takes: input_ids and pixel_values with one row, as the processor makes them from the
            prompt alone.
        prompt: For people.
        target: The answer that is wanted; "" where it is not known.
        picture: A PIL picture for people; None without one.
    """

    inputs: Mapping[str, torch.Tensor]
    prompt: str = ""
    target: str = ""
    picture: Any = field(default=None, compare=False)


fields_checked(
    Question,
    inputs=Kind(
        "a mapping with the tensor 'input_ids', as the processor makes it from the prompt",
        lambda value: isinstance(value, Mapping) and isinstance(value.get("input_ids"), torch.Tensor),
        'Write inputs=processor(text=prompt, images=picture, return_tensors="pt").',
        error=BadBatch,
    ),
    prompt=TEXT,
    target=TEXT,
)


def ask(
    model: nn.Module,
    questions: Sequence[Question],
    decode: Callable[[torch.Tensor], str],
    device: torch.device,
    max_new_tokens: int = 24,
) -> tuple[str, ...]:
    """The model's answers now; it must be at rest.

    Args:
        model: With a ``generate`` method.
        questions: What is asked.
        decode: Token ids of shape (tokens,) -> text, such as ``processor.tokenizer.decode``.
        device: Of the model.
        max_new_tokens: Where an answer is cut.

    Raises:
        BadBatch: The model cannot generate from these inputs.
    """
    answers = []
    for number, question in enumerate(questions):
        inputs = {k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in question.inputs.items()}
        inputs.pop("labels", None)
        try:
            with torch.no_grad():
                output = model.generate(  # type: ignore[operator]
                    **inputs, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens, use_cache=True
                )
        except (TypeError, ValueError, AttributeError, KeyError, IndexError) as error:
            raise BadBatch(
                f"The model cannot answer question {number + 1}.",
                expected="input_ids and pixel_values of one prompt, and a model with generate()",
                found=f"{type(error).__name__}: {shorten(error, 200)}",
                remedy="Make the inputs with the model's own processor, without labels.",
            ) from error
        row = output[0]
        length = (
            0 if getattr(getattr(model, "config", None), "is_encoder_decoder", False) else inputs["input_ids"].shape[1]
        )
        answers.append(decode(row[length:].cpu()).strip())
    return tuple(answers)
