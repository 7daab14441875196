"""What all batches of ``load_batches`` can do, those made of rows and those that came ready."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from .collate import Tensors
from .preview import RowPreviews
from .report import LoadReport


class Batches(ABC):
    """Micro-batches for ``vf.Burst``: iterate as often as you like, each time from the start and in the same order."""

    @abstractmethod
    def __iter__(self) -> Iterator[Tensors]:
        """Dicts of tensors with ``labels``."""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are; the most that there can be while rows remain unread."""

    @property
    @abstractmethod
    def report(self) -> LoadReport:
        """What became of the rows so far."""

    @abstractmethod
    def preview(self, n: int = 4) -> RowPreviews:
        """The first ``n`` rows as the model gets them."""


def text_of(batches: Batches) -> str:
    """One line on batches: how many there are, and what became of the rows."""
    return f"<{type(batches).__name__}: {len(batches):,} batches; {str(batches.report).splitlines()[0]}>"


def html_of(batches: Batches) -> str:
    """The same for a notebook, with the report and the first row."""
    return f"<p><b>{len(batches):,}</b> batches</p>{batches.report._repr_html_()}" + "".join(
        row._repr_html_() for row in batches.preview(1)
    )
