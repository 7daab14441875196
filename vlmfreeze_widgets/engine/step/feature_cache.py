"""The output of frozen parts, computed once per input: for a burst that meets the same pictures again. Opt-in.

Right only where the output is a function of the input alone: the part and all before it are frozen and at rest (no dropout),
which ``engine.apply.modes`` sees to. What is looked up is the content of the inputs, so augmented pictures simply miss the cache.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ...core.errors import InvalidStrategy
from ...core.strategy.plan import Plan
from ...core.tree.node import Node

_LIMIT = 4_000_000_000  # bytes of outputs that are kept; beyond that nothing more is
_PICTURE_PARTS = frozenset({"vision_tower", "projector", "audio_tower", "audio_projector"})


def cacheable(plan: Plan, model: nn.Module) -> tuple[str, ...]:
    """The largest modules before the language model in which nothing trains.

    Args:
        plan: What trains.
        model: Its model.

    Returns:
        Paths, in the model's order.

    Raises:
        InvalidStrategy: The tower trains, or its projector trains inside it, so that there is nothing to keep.
    """
    busy = set(plan.trainable) | {f"{path}." for path in plan.lora_targets}
    found = tuple(_largest(plan.tree.root, busy, model))
    tower = [p.name for p in plan.tree.parameters if p.component in ("vision_tower", "audio_tower")]
    # Layer by layer there is too much to keep: a list of blocks is found where something among or after them trains.
    whole = not any(path.rpartition(".")[2].isdigit() for path in found)
    if not tower or not whole or not all(name.startswith(tuple(f"{path}." for path in found)) for name in tower):
        raise InvalidStrategy(
            "There are no features to cache under this strategy.",
            expected="a vision tower in which nothing trains, as one module",
            found="a tower that trains, or one with a projector inside that trains",
            remedy="Freeze the tower, or use cache_features=False.",
        )
    return found


def _largest(node: Node, busy: set[str], model: nn.Module) -> Iterator[str]:
    below = [parameter for part in node.walk() if part.kind == "module" for parameter in part.parameters]
    quiet = bool(below) and not any(p.name in busy or f"{p.name.rpartition('.')[0]}." in busy for p in below)
    if node.path and quiet and node.kind == "module" and {p.component for p in below} <= _PICTURE_PARTS:
        module = model.get_submodule(node.path)
        if not isinstance(module, nn.ModuleList | nn.ModuleDict):
            yield node.path
            return
    for child in node.children:
        if child.kind == "module":
            yield from _largest(child, busy, model)


class FeatureCache:
    """Stands in front of the forward methods of some modules until it is taken away.

    Args:
        model: At rest where it is cached.
        paths: Modules, from ``cacheable``.

    Attributes:
        hits: Calls that were answered from the cache.
        misses: Calls that were computed.
        nbytes: Bytes that are kept.
    """

    def __init__(self, model: nn.Module, paths: tuple[str, ...]) -> None:
        self.hits = self.misses = self.nbytes = 0
        self._kept: dict[str, tuple[Any, list[tuple[torch.Tensor, int]]]] = {}
        self._digests: dict[int, str] = {}
        self._modules = [model.get_submodule(path) for path in paths]
        for path, module in zip(paths, self._modules, strict=True):
            module.forward = self._cached(path, module.forward)

    def close(self) -> None:
        """Gives the modules their own forward methods back and lets the outputs go."""
        for module in self._modules:
            vars(module).pop("forward", None)
        self._modules, self._kept, self._digests = [], {}, {}

    def _cached(self, path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def looked_up(*args: Any, **kwargs: Any) -> Any:  # whatever the module takes and returns
            if any(t.requires_grad for t in _tensors((args, kwargs))):
                return forward(*args, **kwargs)
            key = self._key(path, args, kwargs)
            found = self._kept.get(key)
            # Somebody may have written into what was kept; its version tells.
            if found is not None and all(t._version == version for t, version in found[1]):
                self.hits += 1
                return copy.copy(found[0])
            self.misses += 1
            output = forward(*args, **kwargs)
            self._keep(key, output)
            return output

        return looked_up

    def _key(self, path: str, args: Any, kwargs: Any) -> str:
        digest = hashlib.blake2b(path.encode(), digest_size=16)
        digest.update(repr(_shape_of((args, kwargs))).encode())
        for tensor in _tensors((args, kwargs)):
            # What another cached module put out is known by its own key: its bytes need not be read again.
            known = self._digests.get(id(tensor))
            digest.update(known.encode() if known else _bytes(tensor))
        return digest.hexdigest()

    def _keep(self, key: str, output: Any) -> None:
        tensors = list(_tensors(output))
        size = sum(t.numel() * t.element_size() for t in tensors)
        if any(t.requires_grad for t in tensors) or self.nbytes + size > _LIMIT:
            return
        self.nbytes += size
        # A copy of the shell: Qwen2-VL writes the split features back into the output that it got.
        self._kept[key] = (copy.copy(output), [(t, t._version) for t in tensors])
        for i, tensor in enumerate(tensors):
            self._digests[id(tensor)] = f"{key}:{i}"


def _tensors(value: Any) -> Iterator[torch.Tensor]:  # nested arguments or outputs
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _shape_of(value: Any) -> Any:
    """The arguments without the contents of tensors: their shapes, and everything else as it reads."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), str(value.device))
    if isinstance(value, Mapping):
        return {k: _shape_of(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_shape_of(v) for v in value]
    return value if isinstance(value, str | int | float | bool | type(None)) else f"{type(value).__name__}@{id(value)}"


def _bytes(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().contiguous().reshape(-1).cpu()
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
