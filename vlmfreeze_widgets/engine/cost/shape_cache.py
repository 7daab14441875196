"""What an operation on fake tensors gives, remembered by the shapes it got: the blocks of a model repeat themselves.

torch's fake tensors have such a memory too; it looks at more than is needed where no shape is symbolic, and a trace is three
times slower with it. Tests compare both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

_CPU = torch.device("cpu")
_LIFT = torch.ops.aten.lift_fresh.default
_aten = torch.ops.aten
_LAYER_NORM, _GROUP_NORM = _aten.native_layer_norm.default, _aten.native_group_norm.default
_NORMS = (_LAYER_NORM, _GROUP_NORM, _aten.native_batch_norm.default)
_PLAIN = (int, float, bool, str, type(None), torch.dtype, torch.layout, torch.memory_format, torch.device)
Shape = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]


class Shapes:
    """Runs operations on fake tensors.

    Args:
        fakes: Makes them.
        remember: Whether an operation is asked only once per shapes.
        on_gpu: Whether norms keep the statistics of half precision as a GPU does.
    """

    def __init__(self, fakes: FakeTensorMode, remember: bool = True, on_gpu: bool = False) -> None:
        self._fakes = fakes
        self._on_gpu = on_gpu
        self._remember = remember
        self._known: dict[Any, tuple[type, list[Shape | None]]] = {}
        self._fresh: dict[Any, bool] = {}

    def run(self, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The output of an operation whose tensors are all fake."""
        if not self._remember:
            return self._computed(func, types, args, kwargs)
        if func.is_view and func is not _LIFT:
            with in_kernel_invocation_manager(self._fakes):
                seen = func(*args, **kwargs)
            if isinstance(seen, torch.Tensor):
                return FakeTensor(self._fakes, seen, _CPU)
            return [FakeTensor(self._fakes, t, _CPU) for t in seen]
        fresh = self._fresh.get(func)
        if fresh is None:
            fresh = self._fresh[func] = _makes_new(func)
        if not fresh:
            return self._fakes.__torch_dispatch__(func, types, args, kwargs)
        key = _key(func, args, kwargs)
        if key is None:
            return self._fakes.__torch_dispatch__(func, types, args, kwargs)
        known = self._known.get(key)
        if known is None:
            output = self._computed(func, types, args, kwargs)
            self._keep(key, output, args)
            return output
        kind, shapes = known
        made = [None if shape is None else self._make(shape) for shape in shapes]
        return made[0] if kind is torch.Tensor else kind(made)

    def _computed(self, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        output: Any = self._fakes.__torch_dispatch__(func, types, args, kwargs)
        if func in _NORMS and self._keeps_single(func, args[0], args[2] if func is _LAYER_NORM else args[1]):
            return (output[0], *(self._make((tuple(t.shape), t.stride(), torch.float32)) for t in output[1:]))
        return output

    def _keeps_single(self, func: Any, given: torch.Tensor, weight: torch.Tensor | None) -> bool:
        """Kernels keep mean and deviation in float32 beside float32 weights; those of a GPU always, but for groups. torch's
        shapes on meta say otherwise."""
        if given.dtype not in (torch.float16, torch.bfloat16):
            return False
        is_float32_norm = weight is not None and weight.dtype == torch.float32
        return is_float32_norm or (self._on_gpu and func is not _GROUP_NORM)

    def _make(self, shape: Shape) -> torch.Tensor:
        size, stride, dtype = shape
        with in_kernel_invocation_manager(self._fakes):
            held = torch.empty_strided(size, stride, dtype=dtype, device="meta")
        return FakeTensor(self._fakes, held, _CPU)

    def _keep(self, key: Any, output: Any, args: Sequence[Any]) -> None:
        outputs = [output] if isinstance(output, torch.Tensor) else output
        if not isinstance(outputs, list | tuple) or not all(o is None or isinstance(o, torch.Tensor) for o in outputs):
            return
        # A kernel may hand back its input (a copy to the same dtype): such an output is not made anew.
        inputs = {t.untyped_storage()._cdata for t in args if isinstance(t, torch.Tensor)}
        storages = [o.untyped_storage()._cdata for o in outputs if o is not None]
        if inputs.intersection(storages) or len(set(storages)) < len(storages):
            return
        if any(o is not None and (o.storage_offset() or not isinstance(o, FakeTensor)) for o in outputs):
            return
        if any(o is not None and o.untyped_storage().nbytes() != _needed(o) for o in outputs):
            return
        shapes = [None if o is None else (tuple(o.shape), o.stride(), o.dtype) for o in outputs]
        self._known[key] = (
            torch.Tensor if isinstance(output, torch.Tensor) else list if isinstance(output, list) else tuple,
            shapes,
        )


def _needed(tensor: torch.Tensor) -> int:
    if not tensor.numel():
        return 0
    return (1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))) * tensor.element_size()


def _makes_new(func: Any) -> bool:  # an operation
    """Whether its outputs are tensors of their own by its schema."""
    if func.is_view or func._schema.is_mutable:
        return False
    return all(r.alias_info is None for r in func._schema.returns)


def _key(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # hashable, or None
    parts: list[Any] = [func]
    for value in args:
        if not _add(parts, value):
            return None
    for name, value in kwargs.items():
        parts.append(name)
        if not _add(parts, value):
            return None
    return tuple(parts)


def _add(parts: list[Any], value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        parts.append((tuple(value.shape), value.stride(), value.dtype))
        return True
    if isinstance(value, list | tuple):
        parts.append(len(value))
        return all(_add(parts, item) for item in value)
    # 1, 1.0 and True are equal, and give different dtypes.
    parts.append((type(value), value))
    return isinstance(value, _PLAIN)
