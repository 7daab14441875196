"""What a tree tells about cost without a trace: bytes of weights, of files, of what sharding puts together. No torch here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..tree.tree import ModuleTree
from .memory import BYTES, TrainedTensor


def weight_bytes(tree: ModuleTree, dtype: str | None, buffers: bool = True) -> dict[str, int]:
    """Component -> bytes of base weights, each shared tensor once.

    Args:
        tree: Of the model.
        dtype: To which floating-point weights are converted; None: as they are.
        buffers: With buffers, which are never converted.
    """
    width = BYTES[dtype] if dtype is not None else 0
    found: Counter[str] = Counter()
    for p in tree.parameters:
        if not p.is_alias:
            found[p.component] += p.params * width if width and not p.is_packed else p.nbytes
    for node in tree.nodes if buffers else ():
        if node.own_buffer_bytes:
            found[tree.component_of(node.path)] += node.own_buffer_bytes
    return dict(found)


def nf4_bytes(params: int) -> int:
    """What bitsandbytes keeps of one weight in NF4 with double quantization (QLoRA, arXiv:2305.14314, section 3).

    Two weights a byte; a scale of one byte for every 64 weights, one of float32 for every 256 such scales and a float32 offset; and
    two float32 tables, of 16 and of 256 values.

    Args:
        params: Elements of the weight.
    """
    scales = -(-params // 64)
    return -(-params // 2) + scales + 4 * -(-scales // 256) + 4 + 4 * (16 + 256)


def gathered_bytes(tree: ModuleTree, dtype: str | None) -> int:
    """Bytes of the largest group of weights that sharding puts together: a block, the embeddings or the head."""
    scale = 1.0 if dtype is None or tree.dtype not in BYTES else BYTES[dtype] / BYTES[tree.dtype]
    blocks = [child.total_bytes for name in tree.components if (b := tree.blocks(name)) for child in b.children]
    single = [p.nbytes for p in tree.parameters if p.component in ("embeddings", "head")]
    return int(max([*blocks, *single, 0]) * scale)


def adapter_file_bytes(tensors: Sequence[TrainedTensor]) -> int:
    """PEFT's file: adapters in float32, and what trains in full beside them as ``modules_to_save``."""
    if not any(t.is_adapter for t in tensors):
        return 0
    return sum(t.nbytes for t in tensors)
