"""Digests of tensors, to tell whether a bit of them changed. What is compared is chosen in ``engine.evidence.witness``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

SMALL = 64 * 2**20
"""Bytes up to which "auto" takes SHA-256: both rounds together stay below a quarter of a second."""

_INTEGER = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_ROW = 1 << 20  # elements weighted at a time, so that no copy of a large tensor is made
_PIECE = 1 << 26  # bytes hashed at a time, so that no copy of a large tensor on an accelerator is made


def bytes_of(tensors: Sequence[torch.Tensor]) -> int:
    """Bytes of the values."""
    return sum(t.numel() * t.element_size() for t in tensors)


def algorithm_for(tensors: Sequence[torch.Tensor], wanted: str) -> str:
    """What "auto" means for these tensors: "sha256" while they are small, else "fast"."""
    if wanted != "auto":
        return wanted
    return "sha256" if bytes_of(tensors) <= SMALL else "fast"


def digests(tensors: Sequence[torch.Tensor], algorithm: str) -> list[str]:
    """One digest per tensor.

    Args:
        tensors: Any dtypes and devices.
        algorithm: "sha256", which reads every byte into host memory, or "fast"; see ``fingerprints``.
    """
    inner = [_inner(t) for t in tensors]
    if any(inner):
        return ["-".join(digests(held or [t], algorithm)) for t, held in zip(tensors, inner, strict=True)]
    if algorithm == "sha256":
        return [_sha256(t) for t in tensors]
    return [f"{plain & _64:016x}{weighted & _64:016x}" for plain, weighted in fingerprints(tensors)]


def _inner(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors that a quantized weight is made of (torchao's values and scales); none of an ordinary one."""
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if type(tensor) in (torch.Tensor, torch.nn.Parameter) or not callable(flatten):
        return []
    names, _ = flatten()
    return [getattr(tensor, name) for name in names]


_64 = (1 << 64) - 1


def _sha256(tensor: torch.Tensor) -> str:
    digest = hashlib.sha256()
    flat = _flat(tensor)
    if flat.numel():
        raw = (
            flat.view(torch.uint8) if not flat.is_complex() else torch.view_as_real(flat).reshape(-1).view(torch.uint8)
        )
        for start in range(0, raw.numel(), _PIECE):
            digest.update(raw[start : start + _PIECE].cpu().numpy().data)
    return digest.hexdigest()


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """All elements in one row. An expanded tensor (stride 0) is written out, since its bytes cannot be viewed."""
    return tensor.detach().contiguous().reshape(-1)


def fingerprints(tensors: Sequence[torch.Tensor]) -> list[tuple[int, int]]:
    """Two 64-bit sums over the bits of each tensor, read in one transfer per device.

    Fast enough for gigabytes on an accelerator; the tests prove bit identity by SHA-256. One sum is weighted by position
    within a row, so that equal changes in two places do not cancel.
    """
    sums: list[torch.Tensor] = []
    for tensor in tensors:
        flat = _flat(tensor)
        if flat.numel() == 0:
            sums.append(torch.zeros(2, dtype=torch.int64))
            continue
        bits = (
            flat.view(_INTEGER[flat.element_size()])
            if not flat.is_complex()
            else torch.view_as_real(flat).view(torch.int32)
        )
        bits = bits.reshape(-1)
        sums.append(torch.stack([bits.sum(dtype=torch.int64), _weighted(bits)]))
    found: list[tuple[int, int]] = [(0, 0)] * len(sums)
    by_device: dict[torch.device, list[int]] = {}
    for i, total in enumerate(sums):
        by_device.setdefault(total.device, []).append(i)
    for members in by_device.values():
        for i, (plain, weighted) in zip(members, torch.stack([sums[i] for i in members]).tolist(), strict=True):
            found[i] = (plain, weighted)
    return found


def _weighted(bits: torch.Tensor) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    weights = torch.arange(1, min(_ROW, bits.numel()) + 1, dtype=torch.int64, device=bits.device)
    for row, start in enumerate(range(0, bits.numel(), _ROW)):
        piece = bits[start : start + _ROW].to(torch.int64)
        total = total + (piece * weights[: piece.numel()]).sum() * (2 * row + 1)
    return total
