"""Everything about a model that a burst may change, kept so that it can be restored exactly.

Kept copies, never inverse operations: unmerging LoRA is inexact in about 30 % of elements, and ``unload()`` keeps trained
``modules_to_save``. Structure (modules, hooks, flags, modes, attributes) is kept by reference, values only where asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from .modes import follow_modes


class StructureSnapshot:
    """Attributes of every module, flags and gradients of every parameter, values of every buffer.

    Args:
        model: Taken as it is now.
    """

    def __init__(self, model: nn.Module) -> None:
        self._modules = [(module, _shallow(module)) for module in model.modules()]
        self._classes = [(module, type(module)) for module in model.modules()]
        self._flags = [(p, p.requires_grad, p.grad) for p in _all_parameters(model)]
        # A model that is cast or moved gets new storages; holding on to the old ones costs nothing until then.
        self._storages = [(p, p.data) for p in _all_parameters(model)]
        # Buffers are small (BatchNorm statistics, rotary frequencies), and frozen means buffers too.
        self._buffers = [(b, b.detach().clone()) for b in model.buffers() if not b.is_meta]

    def restore_storages(self) -> None:
        """Gives parameters the memory that they had, if they were cast or moved since."""
        with Each() as each:
            for parameter, data in self._storages:
                each.do(partial(_give_storage, parameter, data))

    def restore_flags(self) -> None:
        """Restores flags, gradients, modes and hooks only; modules that were added since stay."""
        self.restore_modes()
        for module, (_, containers) in self._modules:
            for key, saved in containers.items():
                if key.endswith("_hooks"):
                    module.__dict__[key].update(saved)
        for parameter, requires_grad, grad in self._flags:
            _give_flags(parameter, requires_grad, grad)

    def restore_modes(self) -> None:
        """Restores training and evaluation mode; adapters put in since take the mode of the layer that they adapt."""
        found = {id(module): bool(attributes["training"]) for module, (attributes, _) in self._modules}
        if self._modules:
            follow_modes(self._modules[0][0], found)

    def restore(self, buffers: bool = True) -> None:
        """Restores modules, attributes, hooks, modes, flags, gradients, and (by default) buffers."""
        with Each() as each, torch.no_grad():
            for module, kind in self._classes:
                if type(module) is not kind:
                    each.do(partial(setattr, module, "__class__", kind))
            for module, (attributes, containers) in self._modules:
                each.do(partial(_give_attributes, module, attributes, containers))
            for parameter, requires_grad, grad in self._flags:
                each.do(partial(_give_flags, parameter, requires_grad, grad))
            for buffer, value in self._buffers if buffers else ():
                each.do(partial(_give_value, buffer, value))


class ValueSnapshot:
    """Copies of chosen tensors.

    Args:
        tensors: What to copy; on an accelerator the copies are kept in host memory, where there is room.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        self._kept = [(t, _host_copy(t)) for t in tensors]

    def swap(self) -> None:
        """Exchanges values: the tensors get the kept ones, the copies get what was in the tensors."""
        with Each() as each, torch.no_grad():
            for tensor, kept in self._kept:
                each.do(partial(_swap, tensor, kept))

    @property
    def copies(self) -> list[torch.Tensor]:
        """The kept values, in the order given."""
        return [kept for _, kept in self._kept]


class Each:
    """Does one thing after another and goes on where one fails, so that the rest is restored. Then it raises the first error."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    def do(self, action: Callable[[], object]) -> None:
        """Does one of them."""
        try:
            action()
        except Exception as error:  # whatever it is, the rest of the model is restored
            self._first = self._first or error

    def __enter__(self) -> Each:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._first is not None and error is None:
            raise self._first


def _give_storage(parameter: nn.Parameter, data: torch.Tensor) -> None:
    if (parameter.data_ptr(), parameter.dtype, parameter.shape) != (data.data_ptr(), data.dtype, data.shape):
        parameter.data = data


def _give_attributes(
    module: nn.Module, attributes: Mapping[str, Any], containers: Mapping[str, Mapping[Any, Any]]
) -> None:
    current = module.__dict__
    for key in [k for k in current if k not in attributes]:
        del current[key]
    current.update(attributes)
    for key, saved in containers.items():
        held = current[key]
        # Compared by identity: tensors do not have a truth value.
        if list(held) != list(saved) or any(held[k] is not saved[k] for k in saved):
            held.clear()
            held.update(saved)


def _give_flags(parameter: nn.Parameter, requires_grad: bool, grad: torch.Tensor | None) -> None:
    parameter.requires_grad_(requires_grad)
    parameter.grad = grad


def _give_value(buffer: torch.Tensor, value: torch.Tensor) -> None:
    if not same_bits(buffer, value):
        buffer.copy_(value)


def _swap(tensor: torch.Tensor, kept: torch.Tensor) -> None:
    now = tensor.detach().to("cpu", copy=True)
    tensor.copy_(kept)
    kept.copy_(now)


def _host_copy(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in host memory; pinned for a CUDA tensor, so that giving it back takes the fast way over the bus."""
    if tensor.device.type == "cuda":
        try:
            return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor.detach())
        except RuntimeError:  # pinned memory is scarcer than memory
            pass
    return tensor.detach().to("cpu", copy=True)


def same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Bit equality: NaN equals itself, -0.0 does not equal 0.0."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if torch.equal(a, b) and not (a.is_floating_point() or a.is_complex()):
        return True
    return bool(torch.equal(_as_bytes(a), _as_bytes(b.to(a.device))))


def _as_bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _all_parameters(model: nn.Module) -> list[nn.Parameter]:
    return list(model.parameters())


def _shallow(module: nn.Module) -> tuple[dict[str, Any], dict[str, dict[Any, Any]]]:
    """The module's attributes, and copies of the dictionaries among them that torch keeps (children, parameters, hooks)."""
    attributes = dict(module.__dict__)
    containers = {
        key: dict(value)
        for key, value in attributes.items()
        if isinstance(value, dict) and (key in ("_modules", "_parameters", "_buffers") or key.endswith("_hooks"))
    }
    return attributes, containers
