"""What is known of a tree's origin beside its modules: the headers of the checkpoint's files. Trees are in ``core.tree.tree``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a safetensors file, from its header.

    Attributes:
        dtype: Such as "bfloat16" or "float8_e4m3fn"; the file's own word where torch has none.
        shape: As stored (packed weights keep their packed shape).
        nbytes: Bytes in the file.
    """

    dtype: str
    shape: tuple[int, ...]
    nbytes: int

    @property
    def params(self) -> int:
        """Elements as stored."""
        product = 1
        for size in self.shape:
            product *= size
        return product


@dataclass(frozen=True)
class Checkpoint:
    """The weight files beside a config; no weight was read.

    Attributes:
        folder: Where they are.
        files: Names of the safetensors files that are there.
        missing: Files that the index names and the folder lacks.
        tensors: Name -> header entry.
    """

    folder: str
    files: tuple[str, ...]
    missing: tuple[str, ...] = ()
    tensors: Mapping[str, StoredTensor] = field(default_factory=dict, repr=False)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all tensors on disk."""
        return sum(t.nbytes for t in self.tensors.values())

    @property
    def stored_params(self) -> int:
        """Elements of all tensors as stored; tied weights are usually stored once, scales and packed weights count as they are."""
        return sum(t.params for t in self.tensors.values())

    @property
    def dtypes(self) -> dict[str, int]:
        """Dtype -> bytes, the largest first."""
        found: dict[str, int] = {}
        for tensor in self.tensors.values():
            found[tensor.dtype] = found.get(tensor.dtype, 0) + tensor.nbytes
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def dtype(self) -> str | None:
        """The dtype that most bytes have; None without files."""
        return next(iter(self.dtypes), None)


def is_model_folder(name: str) -> bool:
    """Whether a model's name is a folder of this machine with a config in it, and no Hub id or title."""
    try:
        return (Path(name) / "config.json").is_file()
    except (OSError, ValueError):  # a title may be longer than a path can be, or hold a NUL
        return False
