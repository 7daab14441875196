"""What ``vf.demo()`` returns: the loaded model with its processor, and batches that are made when they are asked for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..adapters.loading_report import check_loading_report
from ..adapters.transformers_processors import check_torchvision
from ..core.construction_lock import MAKING_LAYERS
from ..data.placeholders import image_token_id
from ..data.preview import RowPreview, token_spans
from ..data.rows import Place
from ..engine.evidence.answers import Question
from .lessons import answers, score
from .scenes import Scene, scenes
from .tiny_vlm import PROMPT, make_processor, text_row

WEIGHTS = Path(__file__).resolve().parent / "weights"
BATCH_SIZE = 16
TRAIN_BATCHES = 64
EVAL_BATCHES = 4
_DATA_SEED = 7


class SceneBatches(Sequence[dict[str, torch.Tensor]]):
    """Batches of scenes, made by the processor at first use and kept.

    Attributes:
        scenes: What is in them, in order.
    """

    def __init__(self, processor: Any, shown: Sequence[Scene], batch_size: int = BATCH_SIZE) -> None:
        self.scenes = tuple(shown)
        self._processor = processor
        self._size = batch_size
        self._made: dict[int, dict[str, torch.Tensor]] = {}

    def __len__(self) -> int:
        return len(self.scenes) // self._size

    def preview(self, n: int = 4) -> tuple[RowPreview, ...]:
        """The first ``n`` rows as the model gets them, with their pictures."""
        found: list[RowPreview] = []
        tokenizer = self._processor.tokenizer
        image = image_token_id(self._processor)
        for number, batch in enumerate(self):
            for row, scene in enumerate(self.scenes[number * self._size : (number + 1) * self._size]):
                if len(found) == n:
                    return tuple(found)
                ids, labels, mask = (batch[key][row] for key in ("input_ids", "labels", "attention_mask"))
                spans = token_spans(ids, labels, mask, tokenizer, image)
                text = "".join(span.text for span in spans)
                found.append(RowPreview(Place(f"batch {number}", 0, row), text, spans, (scene.draw(),)))
        return tuple(found)

    def __getitem__(self, index: Any) -> Any:  # int -> batch, slice -> list of batches
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        if index not in self._made:
            self._made[index] = make_batch(self._processor, self.scenes[index * self._size : (index + 1) * self._size])
        return dict(self._made[index])


def make_batch(processor: Any, shown: Sequence[Scene]) -> dict[str, torch.Tensor]:  # LlavaProcessor
    """The processor's tensors for pictures and captions; labels only on the caption and the end token."""
    batch = processor(
        images=[s.draw() for s in shown],
        text=[f"{PROMPT} {s.caption} </s>" for s in shown],
        return_tensors="pt",
        padding=True,
    )
    prompt = processor(images=[shown[0].draw()], text=[PROMPT], return_tensors="pt")["input_ids"].shape[1]
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    labels[:, :prompt] = -100
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "pixel_values": batch["pixel_values"],
        "labels": labels,
    }


@dataclass(frozen=True)
class Demo:
    """A tiny VLM, ready to be trained.

    Attributes:
        model: ``LlavaForConditionalGeneration``, float32 on the CPU, its projector untrained.
        processor: ``LlavaProcessor``.
        batches: 64 training batches of 16 pictures.
        eval_batches: 4 batches of held-out pictures: pairs of shapes that no training picture has.
    """

    model: Any = field(repr=False)
    processor: Any = field(repr=False)
    batches: SceneBatches = field(repr=False)
    eval_batches: SceneBatches = field(repr=False)

    @property
    def questions(self) -> tuple[Question, ...]:
        """The first three held-out pictures with their true captions, for ``Workbench(..., questions=demo.questions)``."""
        return tuple(
            Question(
                dict(self.processor(images=[s.draw()], text=[PROMPT], return_tensors="pt")),
                "describe:",
                s.caption,
                s.draw(),
            )
            for s in self.eval_batches.scenes[:3]
        )

    @property
    def text_batches(self) -> list[dict[str, torch.Tensor]]:
        """Two batches of text alone: what the language model could do before, for ``retention_batches``."""
        words = self.processor.tokenizer.get_vocab()
        shown = self.eval_batches.scenes[: 2 * BATCH_SIZE]
        rows = torch.tensor([text_row(s, words) for s in shown])
        labels = rows.clone()
        labels[:, : rows.shape[1] - len(shown[0].caption.split()) - 1] = -100
        made = {"input_ids": rows, "attention_mask": torch.ones_like(rows), "labels": labels}
        return [{k: v[i : i + BATCH_SIZE] for k, v in made.items()} for i in (0, BATCH_SIZE)]

    @property
    def captions(self) -> list[str]:
        """The true captions of the training pictures."""
        return [s.caption for s in self.batches.scenes]

    @property
    def eval_captions(self) -> list[str]:
        """The true captions of the held-out pictures."""
        return [s.caption for s in self.eval_batches.scenes]

    @property
    def pictures(self) -> list[Image.Image]:
        """The training pictures of the first batch."""
        return [s.draw() for s in self.batches.scenes[:BATCH_SIZE]]

    @property
    def eval_pictures(self) -> list[Image.Image]:
        """The held-out pictures of the first batch."""
        return [s.draw() for s in self.eval_batches.scenes[:BATCH_SIZE]]

    def answer(self, count: int = 4) -> list[str]:
        """What the model says now about the first held-out pictures."""
        return answers(self.model, self.processor, self.eval_batches.scenes[:count], PROMPT)

    def score(self) -> tuple[float, float]:
        """Share of attributes, and of whole captions, that the model has right on the held-out pictures."""
        shown = self.eval_batches.scenes
        return score(answers(self.model, self.processor, shown, PROMPT), shown)

    def __repr__(self) -> str:
        total = sum(p.numel() for p in self.model.parameters())
        return f"<Demo: {type(self.model).__name__} with {total:,} parameters, {len(self.batches)} batches of {BATCH_SIZE}>"


def load_demo(folder: Path = WEIGHTS) -> Demo:
    """Reads the shipped weights; the processor is made in code, equal to the one saved beside them.

    Raises:
        BadSource: The weights do not match the model name for name, as with a release of transformers that names modules
            differently.
    """
    check_torchvision()
    from transformers import LlavaForConditionalGeneration
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with MAKING_LAYERS, warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            made: Any = LlavaForConditionalGeneration.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
    finally:
        if shown:
            logging.enable_progress_bar()
    model, report = made
    check_loading_report(report, folder)
    model.config._name_or_path = "tiny-llava"
    processor = make_processor()
    return Demo(
        model=model,
        processor=processor,
        batches=SceneBatches(processor, scenes(TRAIN_BATCHES * BATCH_SIZE, held_out=False, seed=_DATA_SEED)),
        eval_batches=SceneBatches(processor, scenes(EVAL_BATCHES * BATCH_SIZE, held_out=True, seed=_DATA_SEED)),
    )
