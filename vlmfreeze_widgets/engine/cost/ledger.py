"""What is alive while a step is traced: bytes by storage, those that wait for the backward pass, gradients, and the peak.

It looks at tensors and never at what they hold. Which operations run is in ``engine.cost.trace_mode``, what comes of it in
``engine.cost.trace``.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import torch


@dataclass(frozen=True)
class Alive:
    """Bytes at one moment, beyond weights and batch.

    Attributes:
        saved: Kept for the backward pass by the model's modules, each storage once.
        loss: Kept outside of every module: by the loss, on the logits.
        gradients: In the ``grad`` of parameters.
        other: Everything else: what an operation or a local variable holds.
    """

    saved: int = 0
    loss: int = 0
    gradients: int = 0
    other: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.saved + self.loss + self.gradients + self.other


class _Kept:
    """Stands in the autograd graph for a saved tensor; when it goes, the tensor is released."""

    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Ledger:
    """Counts storages from their first sight to their end.

    Args:
        rounding: Every storage takes a multiple of so many bytes (512 in torch's CUDA allocator).

    Attributes:
        total: Bytes alive now, beyond what was there before.
        peak: What was alive when ``total`` was highest since ``begin``.
        saved_by_module: Module path -> bytes that it was the first to save, of those whose saving still holds.
    """

    def __init__(self, rounding: int = 1) -> None:
        self._rounding = rounding
        self._sizes: dict[int, int] = {}
        self._watched: dict[int, Any] = {}
        self._given: set[int] = set()
        self._given_refs: list[Any] = []
        self._holders: dict[int, dict[int, str]] = {}
        self._tokens = count()
        self._grads: set[int] = set()
        self._saved = self._loss = self._gradients = 0
        self.total = 0
        self.peak = Alive()
        self.saved_by_module: Counter[str] = Counter()

    def give(self, tensors: Iterable[torch.Tensor]) -> None:
        """Weights and batch: they are there before and are not counted here."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._given.add(storage._cdata)
            self._given_refs.append(storage)

    def begin(self) -> None:
        """A new phase: its peak begins with what is alive now."""
        self.peak = self.alive()

    def alive(self) -> Alive:
        """What is alive now."""
        return Alive(self._saved - self._loss, self._loss, self._gradients, self.total - self._saved - self._gradients)

    def see(self, tensor: torch.Tensor) -> None:
        """Takes note of an operation's output."""
        try:
            storage = tensor.untyped_storage()
        except NotImplementedError:  # sparse tensors have none
            return
        key = storage._cdata
        if key in self._sizes or key in self._given:
            return
        size = -(-storage.nbytes() // self._rounding) * self._rounding
        self._sizes[key] = size
        self._watched[key] = weakref.ref(storage, lambda _, key=key: self._gone(key))  # type: ignore[misc]
        self.total += size
        if self.total > self.peak.total:
            self.peak = self.alive()

    def _gone(self, key: int) -> None:
        size = self._sizes.pop(key)
        self._watched.pop(key)
        self.total -= size
        self._forget_holders(key, size)
        if key in self._grads:
            self._grads.discard(key)
            self._gradients -= size

    def save(self, tensor: torch.Tensor, path: str) -> Any:  # what autograd keeps
        """Autograd keeps a tensor for the backward pass; a pack hook."""
        # An operation that keeps its own output would keep itself: the cycle through the graph is never collected.
        kept = _Kept(tensor if tensor.is_leaf else tensor.detach())
        try:
            key = tensor.untyped_storage()._cdata
        except NotImplementedError:
            return kept
        if key in self._given:
            return kept
        self.see(tensor)
        holders = self._holders.setdefault(key, {})
        token = next(self._tokens)
        holders[token] = path
        if len(holders) == 1:
            self._credit(path, self._sizes[key])
        weakref.finalize(kept, self._release, key, token)
        return kept

    def _release(self, key: int, token: int) -> None:
        holders = self._holders.get(key, {})
        if token not in holders:
            return
        was_first = next(iter(holders)) == token
        path = holders.pop(token)
        if was_first:
            self._credit(path, -self._sizes[key])
            # The graph that kept it first is gone (BLIP-2's pooled output, say); whoever keeps it next is credited.
            if holders:
                self._credit(next(iter(holders.values())), self._sizes[key])
            else:
                del self._holders[key]

    def _forget_holders(self, key: int, size: int) -> None:
        if holders := self._holders.pop(key, None):
            self._credit(next(iter(holders.values())), -size)

    def _credit(self, path: str, size: int) -> None:
        self._saved += size
        self.saved_by_module[path] += size
        if not path:
            self._loss += size

    def mark_gradient(self, gradient: torch.Tensor) -> None:
        """A tensor became the ``grad`` of a parameter."""
        key = gradient.untyped_storage()._cdata
        if key in self._sizes and key not in self._grads:
            self._grads.add(key)
            self._gradients += self._sizes[key]
            self._forget_holders(key, self._sizes[key])
