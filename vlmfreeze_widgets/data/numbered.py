"""Usable rows by number, for a ``DataLoader`` that shuffles and deals them out to processes. Exported scripts bring this along.

Rows, labels and pictures are made by the same code as those of ``load_batches``; here is only the counting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

from ..core.errors import BadData
from .collate import Tensors, collate
from .formats import CAPTION_PROMPT, check_format
from .open_rows import root_of, rows_of
from .pictures import MAX_PIXELS, PictureLoader
from .prepare import Preparer
from .prompts import find_prompts
from .rows import BadRow, Dropped, Place


class NumberedRows(Dataset[dict[str, torch.Tensor]]):
    """The rows of a source that can be used, in their order.

    Args:
        source: A file or folder, as of ``load_batches``.
        processor: The model's own.
        image_root: Folder that pictures must lie in; by default that of the file.
        config: The model's config, for counting image features.
        max_length: Most tokens of a row.
        format: As of ``load_batches``.
        chat_template: A Jinja template instead of the processor's own.
        look_at: Sources with at most so many rows are looked at in full now; in larger ones the place of a row that cannot be
            used is taken by the next one that can.
        say: Called with every row that is left out.

    Raises:
        BadData: No row can be used.
    """

    def __init__(
        self,
        source: Any,  # path or table
        processor: Any,  # any processor
        *,
        image_root: str | None = None,
        config: Any = None,  # any config
        max_length: int | None = None,
        format: str = "auto",  # noqa: A002 - as of load_batches
        chat_template: str | None = None,
        look_at: int = 20_000,
        say: Callable[[str], None] = print,
    ) -> None:
        self._rows, root = rows_of(source)
        pictures = PictureLoader(root_of(image_root, root), MAX_PIXELS)
        self._preparer = Preparer(
            processor,
            find_prompts(processor, chat_template),
            pictures,
            config,
            max_length,
            check_format(format),
            CAPTION_PROMPT,
        )
        self._say = say
        self._reported: set[int] = set()
        self.dropped: list[Dropped] = []
        self._usable: Sequence[int] = range(len(self._rows))
        if len(self._rows) <= look_at:
            self._usable = [row for row in self._usable if self._made(row) is not None]
        if not self._usable:
            raise BadData(
                "Not one row can be used.",
                expected="rows with an answer, and the pictures that they name",
                found=str(self.dropped[0]) if self.dropped else "no rows",
                remedy="Mend the rows named above.",
            )

    def __len__(self) -> int:
        return len(self._usable)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        for further in range(len(self._usable)):
            made = self._made(self._usable[(number + further) % len(self._usable)])
            if made is not None:
                return made
        raise BadData(
            "No row can be used any more.",
            expected="the rows and pictures that were there at the start",
            found=str(self.dropped[-1]),
            remedy="Look whether the pictures are still where they were.",
        )

    def collate(self, rows: Sequence[Tensors]) -> Tensors:
        """Rows of tensors as one micro-batch."""
        return collate(rows, self._preparer.pad_token)

    def _made(self, row: int) -> Tensors | None:
        place = Place("", 0, row)
        try:
            place, raw = self._rows.read(row)
            return self._preparer.prepare(place, raw).tensors
        except BadRow as bad:
            if row not in self._reported:
                self._reported.add(row)
                self.dropped.append(Dropped(place, bad.code, bad.reason))
                self._say(f"left out: {self.dropped[-1]}")
            return None
