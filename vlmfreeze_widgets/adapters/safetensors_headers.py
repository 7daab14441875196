"""What weight files hold, read from safetensors headers alone. Loading weights is in ``transformers_models``."""

from __future__ import annotations

import json
from pathlib import Path

from ..core.errors import BadSource
from ..core.shorten import shorten
from ..core.tree.checkpoint_headers import Checkpoint, StoredTensor

# The format's words: https://github.com/huggingface/safetensors#format
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
_HEADER_LIMIT = 100_000_000  # bytes; the format's own limit, and what keeps a wrong length from filling the memory
_INDEX = "model.safetensors.index.json"


def read_checkpoint(folder: str | Path) -> Checkpoint | None:
    """The weight files of a model folder.

    Args:
        folder: With ``model.safetensors``, or an index and its shards; shards that are not there are named, not fatal.

    Returns:
        None when there is no safetensors file at all. Pickled weights (``.bin``, ``.pt``) are never opened.

    Raises:
        BadSource: A header or the index cannot be read.
    """
    folder = Path(folder)
    index = folder / _INDEX
    if index.is_file():
        names = sorted(set(_weight_map(index).values()))
    else:
        names = sorted(p.name for p in folder.glob("*.safetensors") if not p.name.startswith("adapter_"))
    # A shard's name may not lead out of the folder.
    names = [n for n in names if Path(n).name == n]
    there = [n for n in names if (folder / n).is_file()]
    if not there:
        return None
    tensors: dict[str, StoredTensor] = {}
    for name in there:
        tensors.update(_header(folder / name))
    return Checkpoint(str(folder), tuple(there), tuple(n for n in names if n not in there), tensors)


def _weight_map(index: Path) -> dict[str, str]:
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(k): str(v) for k, v in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadSource(
            f"The index of the shards in {index.parent} cannot be read.",
            expected=f"{_INDEX} with a 'weight_map'",
            found=f"{type(error).__name__}: {shorten(error, 120)}",
            remedy="Download it again, or remove it when the weights are one file.",
        ) from error


def _header(path: Path) -> dict[str, StoredTensor]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_HEADER_LIMIT, path.stat().st_size - 8):
                raise ValueError(f"a header of {length} bytes in a file of {path.stat().st_size}")
            header = json.loads(file.read(length))
        return {
            name: StoredTensor(
                dtype=_DTYPES.get(entry["dtype"], str(entry["dtype"]).lower()),
                shape=tuple(int(n) for n in entry["shape"]),
                nbytes=int(entry["data_offsets"][1]) - int(entry["data_offsets"][0]),
            )
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise BadSource(
            f"The weight file {path.name} cannot be read.",
            expected="a safetensors file",
            found=f"{type(error).__name__}: {shorten(error, 120)}",
            remedy="Download it again; a half-finished download looks like this.",
        ) from error
