"""Quantized weights: how many parameters a packed tensor stands for, and how many bytes it takes. Whether it can train is asked
in ``engine.apply.trainable``.

Four kinds occur: tensors that keep their real shape beside the bytes (bitsandbytes' ``quant_state``), tensor subclasses around
inner tensors (torchao), small float types (FP8), and layers whose weight is a few buffers (GPTQ's and AWQ's ``qweight``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

_BELONGS = ("qweight", "qzeros", "scales", "g_idx")


@dataclass(frozen=True)
class PackedWeight:
    """A weight that a layer keeps as buffers.

    Attributes:
        name: Name of the main buffer on the module.
        shape: (out_features, in_features) before packing.
        dtype: Such as "int4".
        nbytes: Bytes of all buffers that belong to it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


def logical_shape(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape before packing; bitsandbytes packs two 4-bit weights per byte and keeps the real shape in ``quant_state``."""
    shape = getattr(getattr(tensor, "quant_state", None), "shape", None)
    return tuple(shape if shape is not None else tensor.shape)


def stored_bytes(tensor: torch.Tensor) -> int:
    """Bytes in memory, with the scales of a tensor subclass, and with what bitsandbytes keeps beside a 4-bit weight."""
    parts = getattr(tensor, "__tensor_flatten__", None)
    if type(tensor) is not nn.Parameter and callable(parts):
        names, _ = parts()
        return sum(stored_bytes(getattr(tensor, name)) for name in names)
    return tensor.numel() * tensor.element_size() + _beside(getattr(tensor, "quant_state", None))


def _beside(state: object) -> int:
    """Bytes of a ``QuantState``: scales, table and offset, and the same of the scales where these are quantized, too."""
    if state is None:
        return 0
    held = [getattr(state, name, None) for name in ("absmax", "code", "offset")]
    own = sum(t.numel() * t.element_size() for t in held if isinstance(t, torch.Tensor))
    return own + _beside(getattr(state, "state2", None))


def packed_weight(module: nn.Module) -> PackedWeight | None:
    """The weight of a GPTQ or AWQ layer, None for any other module."""
    if isinstance(module, torch.jit.ScriptModule):  # its containers are no dictionaries, and no packed layer is one
        return None
    main = module._buffers.get("qweight")
    in_features, out_features = getattr(module, "in_features", None), getattr(module, "out_features", None)
    if main is None or module._parameters.get("weight") is not None or not in_features or not out_features:
        return None
    held = [b for name in _BELONGS if (b := module._buffers.get(name)) is not None]
    bits = main.numel() * main.element_size() * 8 / (in_features * out_features)
    return PackedWeight(
        "qweight",
        (int(out_features), int(in_features)),
        f"int{max(1, round(bits))}",
        sum(stored_bytes(b) for b in held),
    )


def is_packed_name(module: nn.Module, buffer: str) -> bool:
    """Whether a buffer belongs to a packed weight (it is counted there, not among the buffers)."""
    return buffer in _BELONGS and packed_weight(module) is not None
