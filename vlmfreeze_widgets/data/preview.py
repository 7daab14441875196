"""What a row looks like to the model: its tokens, which of them are learned, its pictures. Values for the page and the eye."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import torch
from PIL import Image

from ..engine.batches.micro_batch import IGNORED
from .rows import Place


@dataclass(frozen=True)
class TokenSpan:
    """A token, or a run of image tokens.

    Attributes:
        text: As the tokenizer writes it; a run of image tokens is written once, with its length.
        supervised: Whether a loss is computed for it.
    """

    text: str
    supervised: bool

    def __iter__(self) -> Any:  # an iterator over text and flag
        return iter((self.text, self.supervised))


@dataclass(frozen=True)
class RowPreview:
    """One row as the model gets it.

    Attributes:
        place: Where it stands.
        prompt: The rendered conversation.
        spans: Its tokens.
        pictures: Small copies, at most 96 pixels each way.
    """

    place: Place
    prompt: str
    spans: tuple[TokenSpan, ...]
    pictures: tuple[Image.Image, ...] = field(default=(), repr=False)

    @property
    def learned(self) -> str:
        """The text that the model learns to write."""
        return "".join(span.text for span in self.spans if span.supervised)

    def __str__(self) -> str:
        pieces = [f"[{text}]" if learned else text for text, learned in joined(self.spans)]
        return f"{self.place}, {len(self.pictures)} pictures; learned in brackets:\n{''.join(pieces)}"

    def _repr_html_(self) -> str:
        pieces = [f"<mark>{escape(t)}</mark>" if learned else escape(t) for t, learned in joined(self.spans)]
        return f"<p>{escape(str(self.place))}</p><pre style='white-space:pre-wrap'>{''.join(pieces)}</pre>"


@dataclass(frozen=True)
class RowPreviews(Sequence[RowPreview]):
    """Several rows, which print one below the other."""

    rows: tuple[RowPreview, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:  # int -> row, slice -> tuple of rows
        return self.rows[index]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.rows))

    def _repr_html_(self) -> str:
        return "".join(row._repr_html_() for row in self.rows)


def joined(spans: Iterable[TokenSpan]) -> list[tuple[str, bool]]:
    """Neighbouring tokens of the same kind as one text."""
    found: list[tuple[str, bool]] = []
    for span in spans:
        if found and found[-1][1] == span.supervised:
            found[-1] = (found[-1][0] + span.text, span.supervised)
        else:
            found.append((span.text, span.supervised))
    return found


def token_spans(
    ids: torch.Tensor,
    labels: torch.Tensor,
    mask: torch.Tensor | None,
    tokenizer: Any,  # any tokenizer, or None
    image_token: int | None,
    texts: tuple[str, ...] = (),
) -> tuple[TokenSpan, ...]:
    """The tokens of one row.

    Args:
        ids: (tokens,).
        labels: (tokens,).
        mask: (tokens,), 0 where there is padding; padding is left out.
        tokenizer: Writes tokens; without one their numbers are written.
        image_token: Runs of it are written once.
        texts: What each token stands for in the text, where that is known; better than decoding one by one.
    """
    kept = [i for i in range(len(ids)) if mask is None or int(mask[i])]
    found: list[TokenSpan] = []
    run = 0
    before: list[int] = []
    for i in kept:
        token, learned = int(ids[i]), int(labels[i]) != IGNORED
        text = texts[i] if texts else _text(tokenizer, before, token)
        before = [token]
        run = run + 1 if token == image_token else 0
        if run > 1:
            found[-1] = TokenSpan(f"{found[-1].text.partition('×')[0]}×{run}", learned)
        else:
            found.append(TokenSpan(text, learned))
    return tuple(found)


def _text(tokenizer: Any, before: list[int], token: int) -> str:
    """What a token adds to the text; many tokenizers write the space only between two."""
    if tokenizer is None:
        return f"{token} "
    alone, together = str(tokenizer.decode(before)) if before else "", str(tokenizer.decode([*before, token]))
    return together[len(alone) :] if together.startswith(alone) else str(tokenizer.decode([token]))
