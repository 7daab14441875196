"""The loss from label positions only: head, float32 logits and cross-entropy for the positions that predict a label.

Most of a row (its pictures and its prompt) carries no label, and a vocabulary of 150,000 makes the logits there the largest tensor
of a step; cross-entropy ignores them. For one forward pass at a time the hidden states of the other positions are left out before
the head, and transformers' loss function gets the labels already shifted. Whatever does not compute its loss just so (checked once,
both ways, before the first step) is left alone.

Long because what is hung up for a forward pass and how it is found to be right must be read side by side.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from ...core.errors import BadBatch
from ...core.evidence.loss_positions import LossPositions
from ...core.language.phrase import say
from ..batches.micro_batch import IGNORED, MicroBatch
from ..batches.resize import pieces
from ..failures.lost_device import is_lost
from ..failures.out_of_memory import is_out_of_memory

# Relative difference of the two losses: another order of the same sums; in half precision each logit is rounded, too.
_SAME = {torch.float64: 1e-9, torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
_ABSENT: Any = object()


class NeedsAllPositions(RuntimeError):
    """A forward pass that was given the label positions alone cannot do with them."""


class LabelPositions:
    """Lets a model compute its logits only where a label is.

    Args:
        model: With its plan applied, without the wrappers of several processes.
        asked: "labels", or "all" to leave every forward pass alone.
        agree: Of several processes: whether all of them say yes. Each calls it once. None where there is one process.

    Attributes:
        found: Which way is taken and why; None until ``settle``.
    """

    def __init__(self, model: nn.Module, asked: str = "labels", agree: Callable[[bool], bool] | None = None) -> None:
        self._model, self._agree = model, agree
        self._head = _head(model)
        self._owners = [m for m in model.modules() if isinstance(getattr(type(m), "loss_function", None), property)]
        self.found = LossPositions("all", say("All positions were asked for.")) if asked == "all" else None

    def settle(self, batch: MicroBatch, loss_of: Callable[[MicroBatch], torch.Tensor]) -> None:
        """Decides by the loss of one row, computed both ways.

        Args:
            batch: The first one.
            loss_of: The model's loss on a micro-batch, at rest and without gradients.
        """
        reason = self._obstacle()
        if reason is None:
            # Several processes take the same passes, whatever rows they have: each waits for the others.
            one = _one_row(batch) if self._agree is None else batch
            reason = self._compared(one, loss_of)
            if reason is not None and one is not batch:  # perhaps its rows belong together
                reason = self._compared(batch, loss_of)
        if self._agree is not None and not self._agree(reason is None) and reason is None:
            reason = say("Another process cannot.")
        why = say("The loss of the first batch is the same either way.") if reason is None else reason
        self.found = LossPositions("labels" if reason is None else "all", why)

    def assume(self) -> None:
        """Decides by the structure alone, for tensors without numbers; ``NarrowPass.holds`` then tells whether it was right."""
        reason = self._obstacle()
        if self.found is None:
            why = say("The model computes its loss as transformers' decoders do.") if reason is None else reason
            self.found = LossPositions("labels" if reason is None else "all", why)

    def _compared(self, batch: MicroBatch, loss_of: Callable[[MicroBatch], torch.Tensor]) -> str | None:
        whole, narrow = NarrowPass(batch, None), NarrowPass(batch, self._targets(batch))
        try:
            with self._watching(whole):
                loss = loss_of(batch)
            if (reason := whole.obstacle()) is not None:
                return reason
            with self._watching(narrow):
                part = float(loss_of(batch))
        except Exception as error:
            if is_lost(error) or is_out_of_memory(error):
                raise
            if not whole.is_over:  # the step meets the same error, or it comes of a hook that needs gradients
                return say("A forward pass without gradients fails: {error}.", error=type(error).__name__)
            return say("The model's forward pass needs the logits of all positions.")
        if not narrow.is_narrowed:
            return say("The model's forward pass needs the logits of all positions.")
        if not bool(torch.isfinite(loss)):
            return say("The loss of the first batch is not finite.")
        if not whole.is_alone(loss):
            return say("The model adds another loss to that of its labels.")
        if not math.isclose(float(loss), part, rel_tol=_SAME[narrow.dtype]):
            return say(
                "The loss of the first batch differs: {whole} and {part}.",
                whole=f"{float(loss):.9g}",
                part=f"{part:.9g}",
            )
        return None

    @contextmanager
    def at(self, batch: MicroBatch) -> Iterator[NarrowPass | None]:
        """Around one forward pass of the model: at the labels of the batch, where that is how the loss is computed.

        Gives what was seen of the pass, and None where nothing was changed.
        """
        targets = self._targets(batch) if self.found is not None and self.found.way == "labels" else None
        if targets is None:
            yield None
            return
        with self._watching(NarrowPass(batch, targets)) as seen:
            yield seen

    def _obstacle(self) -> str | None:
        if getattr(getattr(self._model, "config", None), "is_encoder_decoder", False):
            return say("An encoder-decoder's loss is left as it is.")
        if self._head is None or not self._owners:
            return say("The model does not compute its loss as transformers' decoders do.")
        if any(isinstance(m, nn.Dropout) and m.p > 0 for m in self._head.modules()):
            return say("The head has dropout, which would draw other random numbers.")
        return None

    def _targets(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Where a label is predicted, counted over all rows, and that label; both of shape (labels,), where the labels are."""
        labels = batch.tensors.get("labels")
        if not isinstance(labels, torch.Tensor) or labels.dim() != 2 or not batch.label_tokens:
            return None
        rows, columns = (labels[:, 1:] != IGNORED).nonzero(as_tuple=True)
        return rows * labels.shape[1] + columns, labels[rows, columns + 1]

    @contextmanager
    def _watching(self, seen: NarrowPass) -> Iterator[NarrowPass]:
        before = [(owner, vars(owner).get("_loss_function", _ABSENT)) for owner in self._owners]
        assert self._head is not None
        hook = self._head.register_forward_pre_hook(seen.at_head, with_kwargs=True)
        try:
            for owner, own in before:
                cast(Any, owner)._loss_function = partial(seen.at_loss, owner, own)
            yield seen
        finally:
            hook.remove()
            for owner, own in before:
                vars(owner).pop("_loss_function", None)
                if own is not _ABSENT:
                    vars(owner)["_loss_function"] = own


class NarrowPass:
    """What is seen, and narrowed, of one forward pass.

    Attributes:
        is_narrowed: Whether the head was given the label positions alone.
        targets: (label,) of the positions in the logits then.
        dtype: Of the logits.
    """

    def __init__(self, batch: MicroBatch, targets: tuple[torch.Tensor, torch.Tensor] | None) -> None:
        self._labels = batch.tensors.get("labels")
        self._at: torch.Tensor | None = None if targets is None else targets[0]
        self.targets = torch.empty(0) if targets is None else targets[1]
        self.is_narrowed = False
        self.dtype = torch.float32
        self._heads = 0
        self._losses: list[torch.Tensor] = []
        self._foreign: str | None = None

    def at_head(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        """Before the head: hidden states of shape (rows, tokens, width) -> (labels, 1, width): what cuts tokens off finds one."""
        self._heads += 1
        hidden = args[0] if args else None
        if self._at is None or not isinstance(hidden, torch.Tensor) or not isinstance(self._labels, torch.Tensor):
            return None
        if hidden.dim() != 3 or hidden.shape[:2] != self._labels.shape:
            return None
        self.is_narrowed = True
        at = self._at.to(hidden.device, non_blocking=True)
        return (hidden.flatten(0, 1).index_select(0, at).unsqueeze(1), *args[1:]), kwargs

    def at_loss(self, owner: nn.Module, own: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """In the place of an owner's loss function."""
        original = _own_loss(owner) if own is _ABSENT else own
        given = dict(zip(("logits", "labels", "vocab_size"), args, strict=False)) | kwargs
        logits, labels = given.get("logits"), given.get("labels")
        if not _is_shifted_cross_entropy(original) or len(args) > 3 or given.get("shift_labels") is not None:
            self._foreign = getattr(original, "__name__", type(original).__name__)
        elif not isinstance(logits, torch.Tensor) or not self._is_ours(labels):
            self._foreign = original.__name__
        elif self._foreign is None:
            self.dtype = logits.dtype
        if self.is_narrowed:
            if (
                not isinstance(logits, torch.Tensor)
                or self._foreign is not None
                or logits.shape[:-1] != (len(self.targets), 1)
            ):
                raise NeedsAllPositions("The loss needs the logits of all positions.")
            shifted = self.targets.to(logits.device, non_blocking=True)[:, None]
            loss = original(**{**given, "labels": shifted, "shift_labels": shifted})
        else:
            loss = original(*args, **kwargs)
        self._losses.append(loss)
        return cast(torch.Tensor, loss)

    def _is_ours(self, labels: Any) -> bool:
        mine = self._labels
        if not isinstance(labels, torch.Tensor) or not isinstance(mine, torch.Tensor) or labels.shape != mine.shape:
            return False
        return self._at is not None or bool(torch.equal(labels.cpu(), mine.cpu()))

    def holds(self, loss: torch.Tensor) -> bool:
        """Of a narrowed pass: whether its loss is what the loss function made of the logits of the one call of the head."""
        return self.is_narrowed and self._heads == 1 and len(self._losses) == 1 and loss is self._losses[0]

    @property
    def is_over(self) -> bool:
        """Whether it came as far as its loss."""
        return bool(self._losses)

    def obstacle(self) -> str | None:
        """Of a pass that was not narrowed: what in its structure, the same in every process, speaks against it; None: nothing."""
        if self._foreign is not None:
            return say("The model computes its loss by {name}.", name=self._foreign)
        if self._heads != 1 or len(self._losses) != 1:
            return say("The model does not compute its loss as transformers' decoders do.")
        return None

    def is_alone(self, loss: torch.Tensor) -> bool:
        """Whether the model's loss is what its loss function gave, with nothing added."""
        return float(self._losses[0]) == float(loss)


def _one_row(batch: MicroBatch) -> MicroBatch:
    """Its first row with a label, where it can be divided: the logits of all positions are then made of no more."""
    try:
        rows = pieces(batch.tensors, 1)
    except BadBatch:
        return batch
    for row in rows:
        if labels := int((row["labels"][:, 1:] != IGNORED).sum()):
            return MicroBatch(batch.index, row, labels, batch.input_tokens)
    return batch


def _head(model: nn.Module) -> nn.Module | None:
    ask = getattr(model, "get_output_embeddings", None)
    try:
        head = ask() if callable(ask) else None
    except (AttributeError, NotImplementedError):
        return None
    return head if isinstance(head, nn.Module) else None


def _own_loss(owner: nn.Module) -> Any:  # a function of the library's
    """The loss function that a class of transformers gives its model."""
    placed = vars(owner).pop("_loss_function")
    try:
        return cast(Any, owner).loss_function
    finally:
        vars(owner)["_loss_function"] = placed


def _is_shifted_cross_entropy(function: Any) -> bool:
    """Whether it is transformers' loss of a decoder, and takes labels that are shifted already."""
    named = getattr(function, "__name__", "") == "ForCausalLMLoss"
    return named and "shift_labels" in inspect.signature(function).parameters
