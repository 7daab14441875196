"""Tensors that a config ties and a checkpoint does not. transformers' ``from_pretrained`` keeps two tensors apart where the files
hold both names with different values, whatever ``tie_word_embeddings`` says; a model built without weights is treated alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from ..core.tree.checkpoint_headers import Checkpoint

_CHUNK = 1 << 24  # bytes compared at a time


def untie_as_stored(model: nn.Module, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Gives names that share a tensor a tensor each, where the checkpoint holds different values for them.

    A name that the files lack stays tied: there is one tensor for both, under either name.

    Args:
        model: On meta, tied as its config says; changed in place.
        checkpoint: The headers of its weight files.

    Returns:
        The names that are tied no longer.
    """
    named: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        named.setdefault(id(parameter), []).append(name)
    apart = []
    for first, *others in named.values():
        stored = _stored_name(first, checkpoint) if others else None
        for name in others:
            other = _stored_name(name, checkpoint)
            if stored is None or other is None or stored == other or _same(checkpoint, stored, other):
                continue
            owner, _, last = name.rpartition(".")
            parent = model.get_submodule(owner)
            shared = parent._parameters[last]
            assert shared is not None
            parent._parameters[last] = nn.Parameter(torch.empty_like(shared), requires_grad=shared.requires_grad)
            apart.append(name)
    return tuple(apart)


def _stored_name(name: str, checkpoint: Checkpoint) -> str | None:
    """The name of a parameter in the files, which may be an older one: the only one with the longest common ending.

    At least a module's name and the parameter's must agree ("lm_head.weight"); prefixes moved between releases.
    """
    if name in checkpoint.tensors:
        return name
    parts = name.split(".")
    for start in range(len(parts) - 1):
        ending = ".".join(parts[start:])
        found = [stored for stored in checkpoint.tensors if stored == ending or stored.endswith("." + ending)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _same(checkpoint: Checkpoint, one: str, other: str) -> bool:
    """Whether two stored tensors are equal byte for byte; read in pieces, up to the first difference."""
    a, b = checkpoint.tensors[one], checkpoint.tensors[other]
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    places = _places(checkpoint, (one, other))
    with places[one][0].open("rb") as left, places[other][0].open("rb") as right:
        left.seek(places[one][1])
        right.seek(places[other][1])
        for done in range(0, a.nbytes, _CHUNK):
            size = min(_CHUNK, a.nbytes - done)
            if left.read(size) != right.read(size):
                return False
    return True


def _places(checkpoint: Checkpoint, names: Iterable[str]) -> dict[str, tuple[Path, int]]:
    """Name -> file, and where the tensor's bytes begin in it (https://github.com/huggingface/safetensors#format)."""
    wanted, found = set(names), {}
    for file in checkpoint.files:
        path = Path(checkpoint.folder) / file
        with path.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length))
        for name in wanted & header.keys():
            found[name] = (path, 8 + length + int(header[name]["data_offsets"][0]))
    return found
