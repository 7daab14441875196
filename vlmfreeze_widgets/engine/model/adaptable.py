"""Which modules LoRA can adapt, and how. Decided by what a module's forward computes: a class derived from ``nn.Linear`` may return
anything (Llama 4's router returns a tuple). Where LoRA is put is in ``adapters.peft_lora``.

An adapter is right, and can be merged, where the module computes its weight's own operation: LoRA adds B·A to the weight. A class
that inherits the forward of torch does; one with a forward of its own is tried on random numbers.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .quantized import packed_weight

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_READ_BY_ITS_PARENT = "NonDynamicallyQuantizableLinear"  # nn.MultiheadAttention.out_proj: its forward is never called
_ROWS = 64  # of an embedding table that is tried
_TRIED_WITH_VALUES = 1 << 22  # elements; of a larger weight only the shape of the output is tried, on meta


def peft_kind(module: nn.Module) -> tuple[str, tuple[int, int] | None]:
    """What PEFT takes a module for, by its class, and the (in, out) of the adapter: "linear", "embedding", "conv" or ""."""
    if isinstance(module, nn.Linear):
        return "linear", (module.in_features, module.out_features)
    if (packed := packed_weight(module)) is not None:
        return "linear", (packed.shape[1], packed.shape[0])
    weight = getattr(module, "weight", None)
    if type(module).__name__ == "Conv1D" and isinstance(weight, torch.Tensor):  # GPT-2's: weight is (in, out)
        return "linear", (weight.shape[0], weight.shape[1])
    if isinstance(module, nn.Embedding):
        return "embedding", (module.num_embeddings, module.embedding_dim)
    if isinstance(module, _CONVOLUTIONS) and module.groups == 1:
        return "conv", (module.in_channels * torch.Size(module.kernel_size).numel(), module.out_channels)
    return "", None


def can_carry_lora(module: nn.Module) -> bool:
    """Whether a module that PEFT takes for a layer computes that layer's operation.

    Args:
        module: ``peft_kind`` is not "". It is not changed, and need not have values.
    """
    if type(module).__name__ == _READ_BY_ITS_PARENT:
        return False
    of_torch = next((c for c in (nn.Linear, nn.Embedding, *_CONVOLUTIONS) if isinstance(module, c)), None)
    if of_torch is None or all(
        getattr(type(module), name, None) is getattr(of_torch, name, None) for name in ("forward", "_conv_forward")
    ):
        return True
    weight = module._parameters.get("weight")
    # Quantized layers have a forward of their own, and an adapter of PEFT's that goes with it.
    if type(weight) is not nn.Parameter or not weight.is_floating_point() or weight.element_size() == 1:
        return True
    try:
        return _computes_its_operation(module, weight)
    except Exception:  # a stranger's forward raises what it likes, for instance where it wants more than one input
        return False


def _computes_its_operation(module: nn.Module, weight: nn.Parameter) -> bool:
    if any(True for child in module.children() for _ in child.parameters()):
        return False
    rows = min(_ROWS, weight.shape[0]) if isinstance(module, nn.Embedding) else weight.shape[0]
    shape = (rows, *weight.shape[1:])
    device = "cpu" if torch.Size(shape).numel() <= _TRIED_WITH_VALUES else "meta"
    draw = torch.Generator().manual_seed(0)

    def random(*size: int) -> torch.Tensor:
        made = torch.empty(size, dtype=torch.float32, device=device)
        return made if device == "meta" else made.normal_(generator=draw)

    tried = copy.copy(module)
    tried.__dict__["_parameters"] = {
        name: None
        if p is None
        else nn.Parameter(random(*(shape if name == "weight" else p.shape)), requires_grad=False)
        for name, p in module._parameters.items()
    }
    tried.__dict__["_buffers"] = {
        name: None
        if b is None
        else torch.ones_like(b, device=device)
        if b.is_meta
        else b.detach().to(device, copy=True)
        for name, b in module._buffers.items()
    }
    tried.training = False
    with torch.no_grad():
        given, wanted = _tried_on(tried, rows, random)
        found = type(module).forward(tried, given)
    if not isinstance(found, torch.Tensor) or found.shape != wanted.shape:
        return False
    return device == "meta" or torch.allclose(found.float(), wanted, rtol=1e-3, atol=1e-4)


def _tried_on(module: Any, rows: int, random: Any) -> tuple[torch.Tensor, torch.Tensor]:  # a layer; a function
    """An input, and what the layer's own operation makes of it."""
    weight, bias = module.weight, getattr(module, "bias", None)
    if isinstance(module, nn.Embedding):
        module.padding_idx = None
        ids = torch.arange(6, device=weight.device).reshape(2, 3) % rows
        # PEFT scales the adapter as the layer scales its rows (Gemma).
        scale = getattr(module, "embed_scale", 1.0)
        return ids, F.embedding(ids, weight) * scale
    if isinstance(module, nn.Linear):
        given = random(2, 3, weight.shape[1])
        return given, F.linear(given, weight, bias)
    sizes = zip(module.kernel_size, module.dilation, module.stride, strict=True)
    given = random(2, module.in_channels, *((k - 1) * d + 1 + 2 * s for k, d, s in sizes))
    kind = next(c for c in _CONVOLUTIONS if isinstance(module, c))
    return given, kind._conv_forward(module, given, weight, bias)
