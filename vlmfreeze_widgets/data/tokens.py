"""Text and pictures -> the processor's tensors, with a label per token. Answers are known by character; here they meet tokens.

A processor expands placeholders before it tokenizes. What it tokenized, and where each token stands in it, is overheard from
a copy of its tokenizer: that holds for every processor, also for those that change the text in other ways.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..core.errors import BadData
from ..engine.batches.micro_batch import IGNORED
from .answers import Span
from .prompts import Prompt
from .rows import BadRow


@dataclass(frozen=True)
class _Encoding:
    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]


@dataclass(frozen=True)
class Tokenized:
    """A row as its processor makes it.

    Attributes:
        tensors: With ``labels``.
        texts: What each token stands for in the text, the space before it included; empty where that is not known.
    """

    tensors: dict[str, torch.Tensor]
    texts: tuple[str, ...] = ()


class Tokens:
    """Calls a processor, one row at a time.

    Args:
        processor: Any; it is not changed.

    Raises:
        BadData: Its tokenizer does not tell where tokens stand in the text.
    """

    def __init__(self, processor: Any) -> None:  # any processor
        tokenizer = processor.tokenizer
        if not getattr(tokenizer, "is_fast", False):
            raise BadData(
                "Labels need to know where each token stands in the text.",
                expected="a fast tokenizer (one of the tokenizers library)",
                found=type(tokenizer).__name__,
                remedy="Load the processor with use_fast=True, or make batches with labels yourself.",
            )
        self._encodings: list[_Encoding] = []
        self._processor = copy.copy(processor)
        self._processor.tokenizer = _listening(tokenizer, self._encodings)
        self._bos = tokenizer.bos_token or ""

    def of(self, prompt: Prompt, pictures: Sequence[Any], placeholder: str) -> Tokenized:
        """The tensors of one row, with ``labels``; every first dimension is what the processor makes of one row.

        Args:
            prompt: Rendered.
            pictures: RGB, in the order of their placeholders.
            placeholder: The text of one picture in the prompt.

        Raises:
            BadRow: The processor refuses the row, or an answer cannot be found among its tokens.
        """
        self._encodings.clear()
        options: dict[str, Any] = {"return_tensors": "pt"}
        if pictures:
            options["images"] = list(pictures)
        if prompt.suffix is not None:
            options["suffix"] = [prompt.suffix]
        elif self._bos and prompt.text.startswith(self._bos):
            options["add_special_tokens"] = False
        try:
            made = self._processor(text=[prompt.text], **options)
        except Exception as error:  # noqa: BLE001 - processors raise what they like
            raise BadRow("processor", f"the processor refuses the row ({_first_line(error)})") from None
        tensors = {key: value for key, value in made.items() if isinstance(value, torch.Tensor)}
        if prompt.suffix is not None:
            return Tokenized({**tensors, "labels": self._suffix_labels(tensors)})
        ids = tensors["input_ids"][0].tolist()
        encoded = next((h for h in self._encodings if h.ids == ids), None)
        if encoded is None:
            raise BadRow("labels", "the processor changes tokens after the tokenizer made them")
        return Tokenized(
            {**tensors, "labels": _labels(tensors["input_ids"], encoded, prompt, placeholder)}, _texts(encoded)
        )

    def _suffix_labels(self, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        answer = tensors.get("token_type_ids")
        if answer is None:
            raise BadRow("labels", "the processor does not say which tokens are the suffix")
        return tensors["input_ids"].masked_fill(answer == 0, IGNORED)


def _labels(ids: torch.Tensor, encoded: _Encoding, prompt: Prompt, placeholder: str) -> torch.Tensor:
    spans = moved(prompt.text, encoded.text, placeholder, [s for s in prompt.spans if s.trained])
    labels = torch.full_like(ids, IGNORED)
    for position, (first, after) in enumerate(encoded.offsets):
        if any(_belongs(encoded.text, first, after, span) for span in spans):
            labels[0, position] = encoded.ids[position]
    return labels


def moved(before: str, after: str, placeholder: str, spans: Sequence[Span]) -> list[tuple[int, int]]:
    """Where spans of the prompt stand in the text that the processor made of it by writing more for each placeholder.

    Raises:
        BadRow: The texts differ in other ways.
    """
    if before == after:
        return [(span.start, span.end) for span in spans]
    pieces = before.split(placeholder)
    # From the right: what a picture becomes ends before the next piece, and no piece with an answer occurs in a picture.
    places: list[int] = [0] * len(pieces)
    limit = len(after)
    for number in range(len(pieces) - 1, -1, -1):
        limit = after.rfind(pieces[number], 0, limit)
        if limit < 0:
            raise BadRow("labels", "the processor changes the text beyond its pictures")
        places[number] = limit
    found = []
    for span in spans:
        number = before.count(placeholder, 0, span.start)
        shift = places[number] - sum(len(piece) + len(placeholder) for piece in pieces[:number])
        found.append((span.start + shift, span.end + shift))
        if after[found[-1][0] : found[-1][1]] != before[span.start : span.end]:
            raise BadRow("labels", "an answer is not found in what the processor tokenized")
    return found


def _belongs(text: str, first: int, after: int, span: tuple[int, int]) -> bool:
    """Whether a token is of an answer: it overlaps it, and what sticks out is space. A token that is half prompt is prompt."""
    start, end = span
    if first >= after or first >= end or after <= start:
        return False
    return not (text[first:start].strip() if first < start else "") and not (
        text[end:after].strip() if after > end else ""
    )


def _texts(encoded: _Encoding) -> tuple[str, ...]:
    found, end = [], 0
    for _, after in encoded.offsets:
        found.append(encoded.text[end:after])
        end = max(end, after)
    return tuple(found)


def _listening(tokenizer: Any, encodings: list[_Encoding]) -> Any:  # any fast tokenizer
    kind = type(tokenizer)

    def call(self: Any, *args: Any, **options: Any) -> Any:  # as the tokenizer's own
        made = kind.__call__(self, *args, **options)
        text = args[0] if args else options.get("text")
        texts = [text] if isinstance(text, str) else list(text or [])
        for one, encoding in zip(texts, getattr(made, "encodings", None) or []):
            encodings.append(_Encoding(str(one), list(encoding.ids), list(encoding.offsets)))
        return made

    listener = copy.copy(tokenizer)
    listener.__class__ = type(kind.__name__, (kind,), {"__call__": call})
    return listener


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
