"""One row, all the way: format, pictures, prompt, tokens, placeholders, length. Each step is in a file of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch

from .formats import read_raw
from .lengths import fit
from .pictures import Picture, PictureLoader
from .placeholders import check_placeholders, image_token_id
from .prompts import SUFFIX, Prompt, Prompts
from .rows import BadRow, Place
from .tokens import Tokens


@dataclass(frozen=True)
class Prepared:
    """A row that can be trained on.

    Attributes:
        place: Where it stood.
        tensors: Of this row alone, with labels.
        pictures: How many pictures it has.
        cut: Tokens cut from the end of its answer.
        remarks: What was done to its pictures, and what is odd about its text.
    """

    place: Place
    tensors: dict[str, torch.Tensor] = field(repr=False)
    pictures: int
    cut: int
    remarks: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Memory of its tensors."""
        return sum(t.numel() * t.element_size() for t in self.tensors.values())


@dataclass(frozen=True)
class Shown:
    """What a preview needs beside the tensors: the prompt, the text of each token, the pictures."""

    prompt: Prompt
    texts: tuple[str, ...]
    pictures: list[Picture] = field(repr=False)


class Preparer:
    """Prepares rows for one processor; may be called from several threads.

    Args:
        processor: The model's.
        prompts: How its rows become text.
        pictures: Reads pictures.
        config: The model's config, for counting image features; None where it is not known.
        longest: Most tokens of a row, None for no limit.
        form: The rows' format, None for "look at the keys".
        caption_prompt: The question of captions.
    """

    def __init__(
        self,
        processor: Any,  # any processor
        prompts: Prompts,
        pictures: PictureLoader,
        config: Any,  # any config
        longest: int | None,
        form: str | None,
        caption_prompt: str,
    ) -> None:
        self.processor = processor
        self.prompts = prompts
        self.image_token = image_token_id(processor, config)
        self._tokens = Tokens(processor)
        self._pictures = pictures
        self._config = config
        self._longest = longest
        self._form = form
        self._caption_prompt = caption_prompt
        self._lock = threading.Lock()

    @property
    def pad_token(self) -> int:
        """What fills up short rows; the attention mask hides it."""
        tokenizer = self.processor.tokenizer
        found = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        return found or 0

    def prepare(self, place: Place, raw: Any) -> Prepared:  # a row's value or BadRow
        """The row's tensors.

        Raises:
            BadRow: It cannot be used, and why.
        """
        return self.prepare_in_full(place, raw)[0]

    def prepare_in_full(self, place: Place, raw: Any) -> tuple[Prepared, Shown]:
        """The row's tensors with the prompt, the texts and the pictures that they are of.

        Raises:
            BadRow: It cannot be used, and why.
        """
        if isinstance(raw, BadRow):
            raise raw
        row = read_raw(place, raw, self._form, self._caption_prompt)
        prompt = self.prompts.of(row)
        pictures = [self._pictures.load(ref) for ref in row.pictures]
        with self._lock:
            made = self._tokens.of(prompt, [p.image for p in pictures], self.prompts.placeholder)
        check_placeholders(made.tensors, len(pictures), self.image_token, self.processor, self._config)
        tensors, cut = fit(made.tensors, self._longest, self.image_token)
        remarks = [f"{p.name} {remark}" for p in pictures for remark in p.remarks]
        text = "".join(m.text for m in row.messages)
        remarks += [
            f"the text has {token} in it, which the tokenizer reads as a control token" for token in self._control(text)
        ]
        if unknown := self._unknown(tensors):
            remarks.append(
                f"{unknown} learned tokens are unknown to the tokenizer: the model would learn to write its unknown token"
            )
        return Prepared(place, tensors, len(pictures), cut, tuple(remarks)), Shown(prompt, made.texts, pictures)

    def _unknown(self, tensors: dict[str, torch.Tensor]) -> int:
        token = getattr(self.processor.tokenizer, "unk_token_id", None)
        return 0 if token is None else int((tensors["labels"] == token).sum())

    def _control(self, text: str) -> list[str]:
        return [token for token in self.prompts.specials if token in text]

    def notes(self) -> tuple[str, ...]:
        """How the processor is used, for the report."""
        prompts = self.prompts
        if prompts.kind == SUFFIX:
            return ("prompt and answer go to the processor as text and suffix",)
        if prompts.template:
            return ("labels on assistant turns, found in what the processor's chat template writes",)
        return ("the processor has no chat template: prompt and answer are joined by a space, labels on the answer",)
