"""Which fused attention a GPU would take, and that call in its place; and what its autocast computes in float32. The CPU's own
choices would keep other tensors.

The rule is that of torch's ``sdp_utils.cpp``: flash for half precision without a mask, memory-efficient for the rest that it can
do, else the plain product of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_HALF = (torch.float16, torch.bfloat16)
_FLASH_WIDTH = 256  # widest head of the flash kernel


# What a GPU's autocast computes in float32 and the CPU's does not (torch/amp/autocast_mode and ATen's autocast_mode.h).
_SINGLE = frozenset(
    [
        "layer_norm",
        "group_norm",
        "softmax",
        "log_softmax",
        "softmin",
        "softplus",
        "exp",
        "expm1",
        "pow",
        "prod",
        "rsqrt",
        "reciprocal",
        "sum",
        "cumsum",
        "cumprod",
        "norm",
        "log",
        "log10",
        "log2",
        "log1p",
        "sinh",
        "cosh",
        "tan",
        "acos",
        "asin",
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "l1_loss",
        "normalize",
        "cosine_similarity",
    ]
)


class GpuAttention(TorchFunctionMode):
    """Takes calls of ``scaled_dot_product_attention`` to the kernel that a GPU from Ampere on would choose.

    Args:
        has_flash: Whether the GPU has the flash kernel (compute capability 8.0 and later).
    """

    def __init__(self, has_flash: bool = True) -> None:
        super().__init__()
        self._has_flash = has_flash

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.scaled_dot_product_attention:
            return self._attend(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in _SINGLE and torch.is_autocast_enabled("cpu"):
            args = [a.float() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in args]
        return func(*args, **(kwargs or {}))

    def _attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        # Autocast lists this function among those that it computes in half precision.
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            query, key, value = (t.to(dtype) if t.is_floating_point() else t for t in (query, key, value))
            if attn_mask is not None and attn_mask.is_floating_point():
                attn_mask = attn_mask.to(dtype)
        width = query.shape[-1]
        scale = 1 / math.sqrt(width) if scale is None else scale
        fused = query.dim() == 4 and query.dtype in (*_HALF, torch.float32) and query.shape[-2] > 0
        wide = max(width, value.shape[-1])
        if (
            fused
            and self._has_flash
            and attn_mask is None
            and query.dtype in _HALF
            and wide <= _FLASH_WIDTH
            and (width == value.shape[-1])
        ):
            query, key, value = (_padded(t, 8) for t in (query, key, value))
            made = torch.ops.aten._scaled_dot_product_flash_attention(
                query, key, value, dropout_p, is_causal, False, scale=scale
            )[0]
            cut: torch.Tensor = made[..., :width]
            return cut
        if enable_gqa and key.shape[-3] != query.shape[-3]:
            groups = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
        step = 4 if query.dtype == torch.float32 else 8
        if fused and width % step == 0 and value.shape[-1] % step == 0:
            bias = None if attn_mask is None else _bias(attn_mask, query, key)
            keeps = any(t.requires_grad for t in (query, key, value)) and torch.is_grad_enabled()
            fast: torch.Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(
                query, key, value, bias, keeps, dropout_p, is_causal, scale=scale
            )[0]
            return fast
        plain: torch.Tensor = torch.ops.aten._scaled_dot_product_attention_math(
            query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale
        )[0]
        return plain


def _padded(tensor: torch.Tensor, step: int) -> torch.Tensor:
    missing = -tensor.shape[-1] % step
    return functional.pad(tensor, (0, missing)) if missing else tensor


def _bias(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """A mask as the kernel wants it: of the query's dtype, expanded, its last dimension stored in multiples of 16."""
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill(~mask, -math.inf)
    length = key.shape[-2]
    if length % 16 and mask.shape[-1] != 1:
        mask = functional.pad(mask, (0, -length % 16))[..., :length]
    return mask.expand(*query.shape[:-1], length)
