"""Which adapted layers a model really calls. One whose weight is read by its parent instead takes its adapter to no effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from ..apply.trainable import Trainable
from ..batches.micro_batch import MicroBatch


class AdapterCalls:
    """Compares the calls of adapted layers in training with those in evaluation, on the same micro-batches.

    Some modules choose another way in evaluation mode, in which they read a child's weight and do not call the child
    (``nn.TransformerEncoderLayer``'s fast path, or a custom model). What is measured there does not see what trains.

    Args:
        model: With adapters on.
        trainables: Of the run.
    """

    def __init__(self, model: nn.Module, trainables: Iterable[Trainable]) -> None:
        modules = dict(model.named_modules())
        paths = dict.fromkeys(t.module for t in trainables if t.is_adapter)
        self._layers = {path: modules[path] for path in paths if path in modules}
        self._trained: set[str] = set()
        self._batches: tuple[MicroBatch, ...] = ()

    @contextmanager
    def training(self, batches: Sequence[MicroBatch]) -> Iterator[None]:
        """Counts the calls of one training step on these micro-batches."""
        with self._counting() as called:
            yield
        self._trained, self._batches = called, tuple(batches)

    def missed(self, loss_of: Callable[[MicroBatch], torch.Tensor]) -> list[str]:
        """Paths of the layers that the training step called and an evaluation of the same micro-batches does not; asked once.

        Args:
            loss_of: Computes the loss of a micro-batch. The model is in evaluation mode.
        """
        if not self._batches:
            return []
        with self._counting() as called, torch.no_grad():
            for batch in self._batches:
                loss_of(batch)
        self._batches = ()
        return sorted(self._trained - called)

    @contextmanager
    def _counting(self) -> Iterator[set[str]]:
        called: set[str] = set()

        def counter(path: str) -> Callable[..., None]:
            def count(*_: object) -> None:
                called.add(path)

            return count

        handles = [layer.register_forward_pre_hook(counter(path)) for path, layer in self._layers.items()]
        try:
            yield called
        finally:
            for handle in handles:
                handle.remove()


def sentence_on(missed: Sequence[str]) -> str:
    """What a user must know of layers that evaluation leaves out."""
    return (
        f"In evaluation mode {len(missed)} adapted layers are not called, such as {missed[0]}: the model reads their weights "
        "instead. Held-out loss, text alone and answers do not see what trains there."
    )
