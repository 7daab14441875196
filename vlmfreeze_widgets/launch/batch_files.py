"""Micro-batches as files, one *.safetensors each, in the order of their names; a tensor is read on access.

Every process counts the label tokens of all micro-batches of a step and reads the pictures of its own only.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch

from ..core.atomic_files import ASIDE, as_cannot_save, flush
from ..core.errors import BadBatch
from ..core.shorten import shorten


class FileBatch(Mapping[str, Any]):
    """One micro-batch that lies in a file.

    Args:
        path: Of the file.

    Raises:
        BadBatch: It is no safetensors file.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self._path = path
        try:
            with safe_open(path, "pt") as file:
                self._names = tuple(file.keys())
        except (SafetensorError, OSError) as error:
            raise BadBatch(
                "A micro-batch cannot be read.",
                expected="a safetensors file with the model's keyword arguments",
                found=shorten(f"{path}: {error}", 200),
                remedy="Write the batches again with vf.write_recipe.",
            ) from error

    def __getitem__(self, name: str) -> torch.Tensor:
        from safetensors import safe_open

        if name not in self._names:
            raise KeyError(name)
        with safe_open(self._path, "pt") as file:
            found: torch.Tensor = file.get_tensor(name)
            return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_batches(folder: str | Path) -> list[FileBatch]:
    """The micro-batches of a folder, in the order of their names.

    Raises:
        BadBatch: There is none.
    """
    found = [FileBatch(path) for path in sorted(Path(folder).glob("*.safetensors"))]
    if not found:
        raise BadBatch(
            "There are no micro-batches to read.",
            expected="*.safetensors files, one per micro-batch",
            found=f"none in {folder}",
            remedy="Write them with vf.write_recipe(folder, model_folder, strategy, batches).",
        )
    return found


def write_batches(folder: Path, batches: Iterable[Any], limit: int | None = None) -> int:
    """Writes micro-batches as numbered files: all of them, or none.

    Args:
        folder: Is made; must hold nothing yet.
        batches: Mappings of tensors, as a burst takes them.
        limit: At most so many, for a source without end.

    Returns:
        How many were written.

    Raises:
        BadBatch: The folder holds something, a micro-batch holds something else than tensors, or there is none.
        CannotSave: Disk full, no permission; the folder is then as it was.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise BadBatch(
            "This folder holds files already.",
            expected="a new folder: micro-batches of two recipes would be read as one",
            found=str(folder),
            remedy="Give another folder.",
        )
    with as_cannot_save(folder):
        parent = folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        aside = parent / f"{ASIDE}{uuid4().hex}"
        try:
            aside.mkdir()
            count = _write_all(aside, batches, limit)
            # A folder that is not there, or is empty, is replaced in one piece.
            aside.rename(folder)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return count


def _write_all(folder: Path, batches: Iterable[Any], limit: int | None) -> int:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    count = 0
    for batch in islice((batch for batch in batches if batch is not None), limit):
        other = "the batch itself" if not isinstance(batch, Mapping) else next(
            (name for name, value in batch.items() if not isinstance(value, torch.Tensor)), None
        )  # fmt: skip
        if other is not None:
            value = batch[other] if isinstance(batch, Mapping) else batch
            raise BadBatch(
                f"Micro-batch {count} cannot be written to a file.",
                expected="a mapping of names to tensors",
                found=f"{type(value).__name__} ({other})",
                remedy="Leave it out of the batch, or make a tensor of it; a launched run reads tensors only.",
            )
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in batch.items()}
        path = folder / f"{count:06d}.safetensors"
        try:
            save_file(tensors, path)
        except SafetensorError as error:  # what safetensors makes of a full disk
            raise OSError(str(error)) from error
        flush(path)
        count += 1
    if not count:
        raise BadBatch(
            "There are no micro-batches to write.",
            expected="at least one",
            found="an empty source",
            remedy="Give batches that yield at least one dict of tensors.",
        )
    return count


def same_inputs(batches: Iterable[FileBatch]) -> bool:
    """Whether all micro-batches have the same names, so that the model takes the same way through all of them."""
    return len({frozenset(batch) for batch in batches}) == 1
