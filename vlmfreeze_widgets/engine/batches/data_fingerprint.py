"""By what one knows that two runs read the same data: a hash of the whole first step, and of the words of each further one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import torch

from ..tensors.digests import digests
from .micro_batch import MicroBatch
from .position import digest_of, rows_of


def first_step(batches: Sequence[MicroBatch]) -> dict[str, object]:
    """What the first step read, pictures included.

    Args:
        batches: Its micro-batches, as they came from the source.

    Returns:
        "sha256" over names, dtypes, shapes and bytes of all tensors, "rows" and "micro_batches".
    """
    found = hashlib.sha256()
    for batch in batches:
        tensors = {k: v for k, v in sorted(batch.tensors.items()) if isinstance(v, torch.Tensor)}
        for (name, tensor), digest in zip(tensors.items(), digests(list(tensors.values()), "sha256"), strict=True):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {digest}\n".encode())
    rows = sum(rows_of(batch.tensors) for batch in batches)
    return {"sha256": found.hexdigest(), "rows": rows, "micro_batches": len(batches)}


def words(batches: Sequence[MicroBatch]) -> str:
    """A digest of the words and labels of one step; "" where they lie on an accelerator, since reading them would wait for it."""
    parts = [digest_of(batch.tensors) if isinstance(batch.tensors, Mapping) else "" for batch in batches]
    return hashlib.blake2b("".join(parts).encode(), digest_size=8).hexdigest() if all(parts) and parts else ""
