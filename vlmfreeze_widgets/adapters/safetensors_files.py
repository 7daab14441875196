"""Named tensors to and from safetensors files; nothing that was pickled is ever opened. Headers alone: ``safetensors_headers``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ..core.errors import BadState
from ..core.shorten import shorten


def save(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes tensors of any device, without gathering them in one piece of memory first.

    Raises:
        OSError: The disk is full, or the path cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    # Two names of one storage are two tensors in the file.
    plain = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    try:
        save_file(plain, str(path), metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{error}") from error


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
            found=shorten(f"{path}: {error}", 200),
            remedy="Use another saved state.",
        ) from error
