"""Where the rows of micro-batches lie, so that an outside trainer can be given the same data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DataOrigin:
    """A file or folder of rows.

    Attributes:
        path: Of it, in full.
        image_root: The folder that its pictures' paths begin in, in full; None where no row names a picture by a path.
        format: What its rows are, as in ``vf.load_batches``; None where the keys of each row decide.
    """

    path: str
    image_root: str | None = None
    format: str | None = None

    def settings(self) -> dict[str, Any]:
        """As ``vf.export`` takes it: ``data``, ``image_root``, ``format``."""
        named = {"data": self.path, "image_root": self.image_root, "format": self.format}
        return {name: value for name, value in named.items() if value is not None}
