"""Memory by arithmetic on the plan: weights, adapters, master weights, gradients, the optimizer's state and its update.

Activations do not: the model's code decides them (``engine.cost.trace``). How both meet is in ``core.cost.estimate``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HALF = ("bfloat16", "float16")
BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}
_BLOCK = 256  # weights that share one scale in bitsandbytes' 8-bit AdamW
_SMALL = 4096  # tensors below keep 32-bit states there


@dataclass(frozen=True)
class TrainedTensor:
    """One tensor that the optimizer moves.

    Attributes:
        name: Of the plan.
        component: Its owner.
        shape: As stored.
        dtype: In the model: "bfloat16" and so on.
        is_adapter: Whether LoRA added it.
        is_reached: Whether a gradient arrives. Where none does there is neither gradient nor state.
        group: Place of its optimizer group.
    """

    name: str
    component: str
    shape: tuple[int, ...]
    dtype: str
    is_adapter: bool
    is_reached: bool
    group: int = 0

    @property
    def params(self) -> int:
        """Its elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """In the model."""
        return self.params * BYTES[self.dtype]

    def has_master(self, precision: str) -> bool:
        """Whether a float32 copy is optimized in its place."""
        return self.dtype == "float16" or (self.dtype == "bfloat16" and precision != "bf16-pure")

    def master_bytes(self, precision: str) -> int:
        """Of that copy; 0 where there is none."""
        return 4 * self.params if self.has_master(precision) else 0

    def stepped(self, precision: str) -> int:
        """Bytes of the tensor that is optimized, and of its gradient then."""
        return 4 * self.params if self.has_master(precision) else self.nbytes


def optimizer_bytes(tensor: TrainedTensor, optimizer: str, precision: str) -> int:
    """What an optimizer keeps between steps for one tensor that a gradient reaches.

    Args:
        tensor: Trained.
        optimizer: "adamw" (two moments), "adamw8bit" (two bytes, and two scales per 256), "sgd" without momentum, or
            "adafactor" (a row and a column instead of the second moment; of vectors all of it).
        precision: As of a burst.
    """
    each = tensor.stepped(precision) // max(1, tensor.params)
    if not tensor.is_reached or optimizer == "sgd":
        return 0
    if optimizer == "adamw":
        return 2 * tensor.stepped(precision)
    if optimizer == "adamw8bit":
        if tensor.params < _SMALL:
            return 8 * tensor.params
        return 2 * tensor.params + 8 * math.ceil(tensor.params / _BLOCK)
    if len(tensor.shape) < 2:
        return tensor.stepped(precision)
    *outer, rows, columns = tensor.shape
    return math.prod(outer) * (rows + columns) * each


def update_bytes(tensors: Sequence[TrainedTensor], optimizer: str, precision: str, all_at_once: bool) -> int:
    """What an update holds for a moment beside gradients and state.

    Args:
        tensors: Trained.
        optimizer: As above.
        precision: As of a burst.
        all_at_once: torch's foreach form, which a GPU takes: one temporary copy of a whole group. Else tensor by tensor.
    """
    reached = [t for t in tensors if t.is_reached]
    if not reached:
        return 0
    # Gradients become float32 one by one; the last one is there twice for a moment.
    converting = max((t.nbytes for t in reached if t.has_master(precision)), default=0)
    if optimizer in ("sgd", "adamw8bit"):
        # SGD's weight decay makes a gradient of its own.
        return max(converting, _largest(reached, precision, all_at_once) if optimizer == "sgd" else 0)
    # AdamW: the root of the second moment, and without foreach its quotient too. Adafactor: the estimated second moment.
    copies = 1 if all_at_once or optimizer == "adafactor" else 2
    return max(converting, copies * _largest(reached, precision, all_at_once))


def _largest(reached: Iterable[TrainedTensor], precision: str, all_at_once: bool) -> int:
    sizes: Counter[tuple[int, str] | str] = Counter()
    for tensor in reached:
        key = (
            (tensor.group, "float32" if tensor.has_master(precision) else tensor.dtype) if all_at_once else tensor.name
        )
        sizes[key] += tensor.stepped(precision)
    return max(sizes.values())


@dataclass(frozen=True)
class Standing:
    """Bytes that are there all the time, by component.

    Attributes:
        weights: Base weights and buffers.
        adapters: LoRA's tensors.
        masters: float32 copies of half-precision weights that train.
        optimizer: State between steps.
        gradients: At the update, in the dtype that is stepped.
        passing: Gradients as the backward pass leaves them, in the model's dtype.
    """

    weights: Mapping[str, int]
    adapters: Mapping[str, int]
    masters: Mapping[str, int]
    optimizer: Mapping[str, int]
    gradients: Mapping[str, int]
    passing: Mapping[str, int]

    def of(self, part: str) -> int:
        """Bytes of one part, all components."""
        held: Mapping[str, int] = getattr(self, part)
        return sum(held.values())


def standing(weights: Mapping[str, int], tensors: Sequence[TrainedTensor], optimizer: str, precision: str) -> Standing:
    """Adds up what stands.

    Args:
        weights: Component -> bytes of base weights and buffers.
        tensors: Trained.
        optimizer: As of a burst.
        precision: As of a burst.
    """
    parts: dict[str, Counter[str]] = {
        n: Counter() for n in ("adapters", "masters", "optimizer", "gradients", "passing")
    }
    for t in tensors:
        if t.is_adapter:
            parts["adapters"][t.component] += t.nbytes
        parts["masters"][t.component] += t.master_bytes(precision)
        parts["optimizer"][t.component] += optimizer_bytes(t, optimizer, precision)
        if t.is_reached:
            parts["gradients"][t.component] += t.stepped(precision)
            parts["passing"][t.component] += t.nbytes
    return Standing(weights=dict(weights), **{name: dict(held) for name, held in parts.items()})
