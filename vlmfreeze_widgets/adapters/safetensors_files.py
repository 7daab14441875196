"""Named tensors to and from safetensors files; nothing that was pickled is ever opened. Headers alone: ``safetensors_headers``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ..core.errors import BadState


def to_bytes(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Tensors of any device as the content of a safetensors file."""
    from safetensors.torch import save

    # Two names of one storage are two tensors in the file.
    return save({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()})


def load(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, on the CPU.

    Raises:
        BadState: It is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise BadState(
            "This file holds no tensors.",
            expected="a safetensors file",
            found=f"{path}: {error}"[:200],
            remedy="Use another saved state.",
        ) from error
