"""LoRA added to the base weights, all of it or nothing: every layer is tried before the first one is changed.

PEFT computes the sum; here it is computed in float32, rounded once, measured, and compared with what the layer computed with its
adapter.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ..core.errors import CannotMerge
from ..core.history.merge_rounding import MergeRounding
from .peft_lora import adapted_layer

_HALF = (torch.float16, torch.bfloat16)
_ROWS = 8  # random inputs with which a layer is compared with itself before and after


def merge(model: nn.Module, paths: Iterable[str]) -> MergeRounding | None:
    """Adds each adapter's update to its base weight, in place.

    Args:
        model: With adapters, on plain float weights (``engine.apply.mergeable``).
        paths: Keys of the plan's ``lora_targets``.

    Returns:
        What rounding took; None where no weight is in half precision.

    Raises:
        CannotMerge: A sum is not finite in the weight's dtype, or a layer would compute something else with it (its forward uses
            its weight in another way than PEFT adds to it). Nothing was changed then.
    """
    layers = [(path, adapted_layer(model, path)[0]) for path in paths]
    with torch.no_grad():
        measured = [_try(path, layer) for path, layer in layers]
        for _, layer in layers:
            _merge_layer(layer)
    half = [
        (path, str(_weight(layer).dtype).removeprefix("torch."), error, update)
        for (path, layer), (error, update) in zip(layers, measured, strict=True)
        if _weight(layer).dtype in _HALF
    ]
    if not half:
        return None
    worst = max(half, key=lambda one: _share(one[2], one[3]))
    error, update = sum(e * e for *_, e, _ in half) ** 0.5, sum(u * u for *_, u in half) ** 0.5
    return MergeRounding(_share(error, update), _share(worst[2], worst[3]), worst[0], worst[1], len(half))


def _share(error: float, update: float) -> float:
    return error / update if update else 0.0


def _weight(layer: Any) -> nn.Parameter:  # a PEFT layer
    weight: nn.Parameter = getattr(layer.get_base_layer(), getattr(layer, "parameter_name", "weight"))
    return weight


def _try(path: str, layer: Any) -> tuple[float, float]:
    """Norms of the rounding error and of the update; the layer is as before afterwards."""
    layer.eval()  # whoever merges gives the modes back
    weight = _weight(layer)
    before = weight.data
    probe = _inputs(layer.get_base_layer(), before)
    plain = _outputs(layer.base_layer, probe)
    adapted = _outputs(layer, probe)
    try:
        exact = _sum(layer)
        rounded = exact.to(before.dtype)
        if not bool(torch.isfinite(rounded).all()):
            raise _refused(path, "a finite sum", f"infinities or NaN in {before.dtype}".replace("torch.", ""))
        weight.data = rounded
        merged = _outputs(layer.base_layer, probe)
    finally:
        weight.data = before
        layer.merged_adapters.clear()
    if plain is not None and adapted is not None and merged is not None:
        _compare(path, plain, adapted, merged, torch.finfo(before.dtype).eps)
    if before.dtype not in _HALF:
        return 0.0, 0.0
    error = torch.linalg.vector_norm(exact - rounded.to(exact.dtype))
    return float(error), float(torch.linalg.vector_norm(exact - before.to(exact.dtype)))


def _merge_layer(layer: Any) -> None:
    weight = _weight(layer)
    before = weight.data
    rounded = _sum(layer).to(before.dtype)
    # The old memory gets the values: whoever shares it sees them too.
    weight.data = before.copy_(rounded)


def _sum(layer: Any) -> torch.Tensor:
    """The merged weight, in float32 at least; it is left in the layer."""
    weight = _weight(layer)
    weight.data = weight.data.float() if weight.dtype in _HALF else weight.data.clone()
    layer.merge(safe_merge=False)
    return weight.data


def _inputs(base: nn.Module, weight: torch.Tensor) -> torch.Tensor | None:
    """Random inputs of a layer whose kind is known; stacks of experts have none."""
    draw = torch.Generator().manual_seed(0)
    if isinstance(base, nn.Embedding):
        return torch.randint(base.num_embeddings, (_ROWS,), generator=draw).to(weight.device)
    if isinstance(base, nn.Linear):
        shape = [_ROWS, base.in_features]
    elif isinstance(base, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        shape = [
            _ROWS,
            base.in_channels,
            *(d * (k - 1) + 1 for d, k in zip(base.dilation, base.kernel_size, strict=True)),
        ]
    else:
        return None
    return torch.randn(shape, generator=draw).to(weight.device, weight.dtype)


def _outputs(layer: nn.Module, probe: torch.Tensor | None) -> torch.Tensor | None:
    if probe is None:
        return None
    try:
        found = layer(probe)
    except (TypeError, ValueError, RuntimeError):  # a forward of its own, that wants something else
        return None
    return found.double() if isinstance(found, torch.Tensor) else None


def _compare(path: str, plain: torch.Tensor, adapted: torch.Tensor, merged: torch.Tensor, eps: float) -> None:
    """The merged layer computes what the adapted one did, but for rounding."""
    error = float(torch.linalg.vector_norm(merged - adapted))
    update = float(torch.linalg.vector_norm(adapted - plain))
    if error > 0.05 * update + 4 * eps * float(torch.linalg.vector_norm(adapted)):
        raise _refused(
            path,
            "a layer that computes the same with the sum as with its adapter",
            f"one that differs by {error / max(update, 1e-30):.0%} of the update",
        )


def _refused(path: str, expected: str, found: str) -> CannotMerge:
    return CannotMerge(
        f"LoRA cannot be merged into {path}.",
        expected=expected,
        found=found,
        remedy="Keep the adapters beside the weights: result.keep(), or result.save(folder). Nothing was changed.",
    )
