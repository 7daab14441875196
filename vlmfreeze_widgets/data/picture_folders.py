"""Rows of a folder of pictures: a text file beside each, ``metadata.jsonl``, ``captions.json``, or one file of rows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from .image_root import open_inside
from .json_files import JsonRows, unreadable
from .rows import BadRow, Place
from .strict_json import MAX_ROW_BYTES, read_row
from .tables import TableRows

_PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"}
_LONGEST_CAPTION = 2**16


class Rows(Protocol):
    """Where rows come from."""

    def __iter__(self) -> Iterator[tuple[Place, Any]]: ...

    def __len__(self) -> int: ...

    def read(self, row: int) -> tuple[Place, Any]:
        """(place, value or BadRow) of one row."""
        ...


class CaptionedPictures:
    """``x.png`` with ``x.txt`` beside it, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = sorted(e.name for e in os.scandir(folder) if Path(e.name).suffix.lower() in _PICTURES)

    def __iter__(self) -> Iterator[tuple[Place, Any]]:
        """(place, value or BadRow) of every row."""
        return (self.read(row) for row in range(len(self)))

    def __len__(self) -> int:
        return len(self._names)

    def read(self, row: int) -> tuple[Place, Any]:
        """(place, value or BadRow) of one row."""
        name = self._names[row]
        place = Place(name, 0, row)
        try:
            with open_inside(self._folder, str(Path(name).with_suffix(".txt"))) as handle:
                text = handle.read(_LONGEST_CAPTION + 1)
            if len(text) > _LONGEST_CAPTION:
                return place, BadRow("format", f"the caption has more than {_LONGEST_CAPTION:,} bytes")
            return place, {"image": name, "caption": text.decode("utf-8-sig")}
        except BadRow as bad:
            return place, BadRow("format", bad.reason)
        except UnicodeDecodeError:
            return place, BadRow("format", "the caption is not UTF-8")


def folder_rows(folder: Path) -> tuple[Rows, Path]:
    """The rows of a folder, and its image root.

    Raises:
        BadData: Nothing in it is a row.
    """
    if (folder / "metadata.jsonl").is_file():
        return JsonRows(folder / "metadata.jsonl"), folder
    if (folder / "captions.json").is_file():
        return _captions(folder / "captions.json"), folder
    pictures = CaptionedPictures(folder)
    if len(pictures) and any(folder.glob("*.txt")):
        return pictures, folder
    files = sorted(p for p in folder.iterdir() if p.suffix in {".json", ".jsonl"} and p.name != "dataset_info.json")
    if len(files) == 1:
        # zero_nlp keeps chat.json beside a folder images_dl.
        images = folder / "images_dl"
        return JsonRows(files[0]), images if images.is_dir() else folder
    found = f"{len(files)} files of rows" if files else f"{len(pictures)} pictures and no captions"
    raise unreadable(folder, f"a folder with {found}")


def _captions(path: Path) -> Rows:
    try:
        with path.open("rb") as handle:
            text = handle.read(MAX_ROW_BYTES + 1)
        if text.lstrip()[:1] == b"[":
            return JsonRows(path)
        value = read_row(text)
    except (OSError, BadRow) as error:
        raise unreadable(path, str(error)) from None
    if not isinstance(value, Mapping):
        raise unreadable(path, "neither a list nor an object")
    return TableRows([{"image": name, "caption": caption} for name, caption in value.items()], path.name)
