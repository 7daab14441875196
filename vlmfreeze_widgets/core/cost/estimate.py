"""What one training step costs, as a value: memory at its worst moment and over time, operations, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .gpus import Device, usable_bytes
from .memory import Standing
from .roofline import StepTime, Work, step_time
from .sharding import Shard, shard
from .text import cost_text

PARTS = (
    "weights", "adapters", "masters", "gradients", "optimizer", "activations", "logits and loss", "temporary", "batch",
)  # fmt: skip
"""The names of ``CostEstimate.parts``, in the order in which they are shown."""


@dataclass(frozen=True)
class Moment:
    """Memory at one point of a step.

    Attributes:
        name: "forward", "kept" (its end), "backward", "update" or "between" two steps.
        parts: Name -> bytes.
    """

    name: str
    parts: Mapping[str, int]

    @property
    def nbytes(self) -> int:
        """All parts."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Flops:
    """Floating point operations of one micro-batch.

    Attributes:
        forward: Component -> operations.
        backward: The same of the backward pass; with what is recomputed there.
    """

    forward: Mapping[str, int]
    backward: Mapping[str, int]

    @property
    def total(self) -> int:
        """Of both passes."""
        return sum(self.forward.values()) + sum(self.backward.values())


@dataclass(frozen=True)
class CostEstimate:
    """The cost of one optimizer step, estimated.

    Memory is what tensors take on the device, as ``torch.cuda.max_memory_allocated`` counts; what the context and the allocator
    take beside them is in ``fits``. A moment is one of a later step: the optimizer's state is there.

    Attributes:
        title: Of the model.
        sentence: What trains.
        rows: Of a micro-batch.
        tokens: Of a micro-batch, with image tokens.
        settings: Dtype, precision, optimizer, checkpointing, accumulation, attention, device, and where the loss is computed:
            at "all" positions, or at the "labels" of a burst.
        timeline: The worst moments of forward, backward and update, and the rest between steps.
        standing: What follows from the plan, by component.
        activations: Component -> bytes kept for the backward pass; "loss" is what is kept outside of every module.
        by_module: Module path -> the same, where the module is the first to keep a tensor.
        flops: Of one micro-batch.
        work: Operation -> calls, of one micro-batch.
        trainable_params: What the optimizer moves.
        unreached: Names of trained tensors that no gradient reaches.
        adapter_bytes: Of a saved adapter (safetensors, float32); with what trains in full beside it.
        checkpoint_bytes: Of the whole model, saved in its own dtype.
        gathered_bytes: The largest group of weights that sharding puts together.
        is_bound: The model's code could not be traced: the numbers are the least that it takes.
        upper_bytes: Then, what it can hardly exceed; else None.
        notes: What to know about these numbers.
    """

    title: str
    sentence: str
    rows: int
    tokens: int
    settings: Mapping[str, Any]
    timeline: tuple[Moment, ...]
    standing: Standing
    activations: Mapping[str, int]
    by_module: Mapping[str, int]
    flops: Flops
    work: Mapping[Work, int] = field(repr=False)
    trainable_params: int = 0
    unreached: tuple[str, ...] = ()
    adapter_bytes: int = 0
    checkpoint_bytes: int = 0
    gathered_bytes: int = 0
    is_bound: bool = False
    upper_bytes: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def peak(self) -> Moment:
        """The worst moment."""
        return max(self.timeline, key=lambda m: m.nbytes)

    @property
    def peak_bytes(self) -> int:
        """At the worst moment."""
        return self.peak.nbytes

    @property
    def parts(self) -> dict[str, int]:
        """Part -> bytes at the worst moment; they sum to ``peak_bytes``."""
        return {name: self.peak.parts.get(name, 0) for name in PARTS}

    @property
    def activation_bytes(self) -> int:
        """Kept for the backward pass at the end of the forward pass, with logits and loss; each storage once."""
        return sum(self.activations.values())

    @property
    def by_component(self) -> dict[str, dict[str, int]]:
        """Component -> part -> bytes, of all that stands and of activations."""
        found: dict[str, dict[str, int]] = {}
        for part in ("weights", "adapters", "masters", "gradients", "optimizer"):
            for component, nbytes in getattr(self.standing, part).items():
                found.setdefault(component, {})[part] = nbytes
        for component, nbytes in self.activations.items():
            found.setdefault(component, {})["activations"] = nbytes
        return found

    def fits(self, memory_bytes: int) -> bool | None:
        """Whether a GPU with so much memory can take the step, with room for the context and the allocator's losses.

        Returns:
            None where only bounds are known and the answer lies between them.
        """
        room = usable_bytes(memory_bytes)
        if self.peak_bytes > room:
            return False
        if not self.is_bound:
            return True
        return True if self.upper_bytes is not None and self.upper_bytes <= room else None

    def time_on(self, device: Device) -> StepTime:
        """The least time of a step on a GPU (a roofline; real steps take about twice as long)."""
        accumulation = int(self.settings["accumulation"])
        stepped = self.standing.of("gradients")
        # Read weight, gradient and state, write weight and state; then master weights are rounded into the model.
        traffic = 3 * stepped + 2 * self.standing.of("optimizer") + 3 * self.standing.of("masters") // 2
        return step_time(self.work, device, accumulation, traffic)

    def on_gpus(self, gpus: int, scheme: str) -> Shard:
        """What each of several GPUs holds; every one has a micro-batch of its own.

        Args:
            gpus: How many.
            scheme: "ddp", "zero1", "zero2", "zero3" or "fsdp2".
        """
        return shard(self.parts, self.standing.of("passing"), self.gathered_bytes, scheme, gpus)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {
            "title": self.title,
            "sentence": self.sentence,
            "rows": self.rows,
            "tokens": self.tokens,
            "settings": dict(self.settings),
            "peak_bytes": self.peak_bytes,
            "peak_at": self.peak.name,
            "parts": self.parts,
            "timeline": [{"name": m.name, "bytes": m.nbytes, "parts": dict(m.parts)} for m in self.timeline],
            "activation_bytes": self.activation_bytes,
            "by_component": self.by_component,
            "by_module": dict(self.by_module),
            "flops": asdict(self.flops),
            "trainable_params": self.trainable_params,
            "unreached": list(self.unreached),
            "adapter_bytes": self.adapter_bytes,
            "checkpoint_bytes": self.checkpoint_bytes,
            "is_bound": self.is_bound,
            "upper_bytes": self.upper_bytes,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return cost_text(self)

    __repr__ = __str__
