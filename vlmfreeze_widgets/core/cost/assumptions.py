"""What a cost estimate on the page assumes: batch, precision, optimizer, GPUs; checked. Who estimates is ``session.costs``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InvalidStrategy
from ..language.phrase import say
from ..shorten import shorten
from .gpus import DEVICES, Device
from .sharding import SCHEMES

HERE = "here"
"""The device that the model is on, or the GPU of this machine."""

OPTIMIZERS: Mapping[str, str] = {
    "adamw": "AdamW", "adamw8bit": say("AdamW, 8 bits"), "sgd": "SGD", "adafactor": "Adafactor"
}  # fmt: skip
PRECISIONS: Mapping[str, str] = {
    "auto": say("as stored"), "fp32": "fp32", "bf16-mixed": say("bf16 mixed"), "bf16-pure": say("bf16 pure"), "fp16": "fp16"
}  # fmt: skip
SCHEME_LABELS: Mapping[str, str] = {
    "ddp": "DDP", "zero1": "ZeRO-1", "zero2": "ZeRO-2", "zero3": "ZeRO-3", "fsdp2": "FSDP2"
}  # fmt: skip
_RANGES = {
    "rows": (1, 4096),
    "picture": (14, 8192),
    "text": (1, 1_000_000),
    "accumulation": (1, 4096),
    "gpus": (1, 4096),
}
_WORDS: Mapping[str, tuple[str, ...]] = {
    "precision": tuple(PRECISIONS), "optimizer": tuple(OPTIMIZERS), "scheme": SCHEMES, "device": (HERE, *DEVICES),
    "loss_positions": ("labels", "all"),
}  # fmt: skip
_OPTIONAL = ("rows", "picture", "text")


@dataclass(frozen=True)
class CostSettings:
    """The assumptions of an estimate.

    Attributes:
        rows: Of a micro-batch; None: as the user's own batch has, or 1.
        picture: Side of a typical picture in pixels; None: as in the user's own batch, or as the model's config names.
        text: Text tokens of a typical row; None likewise.
        precision: As of a burst.
        checkpointing: Whether activations are recomputed.
        optimizer: As of a burst.
        accumulation: Micro-batches per step.
        device: ``HERE`` or a name of ``DEVICES``.
        gpus: How many share the step.
        scheme: How they share it.
        loss_positions: As of a burst.
    """

    rows: int | None = None
    picture: int | None = None
    text: int | None = None
    precision: str = "auto"
    checkpointing: bool = False
    optimizer: str = "adamw"
    accumulation: int = 1
    device: str = HERE
    gpus: int = 1
    scheme: str = "ddp"
    loss_positions: str = "all"

    def changed(self, change: Mapping[str, Any]) -> CostSettings:
        """With other values; nothing in ``change`` is trusted.

        Raises:
            InvalidStrategy: An unknown name, or a value that cannot be meant.
        """
        for name, value in change.items():
            if name in _RANGES:
                least, most = _RANGES[name]
                fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
                if not fits and not (value is None and name in _OPTIONAL):
                    raise _bad(name, f"a whole number from {least} to {most}", value)
            elif name in _WORDS:
                if value not in _WORDS[name]:
                    raise _bad(name, f"one of {', '.join(_WORDS[name])}", value)
            elif name != "checkpointing":
                raise _bad("setting of this name", f"one of {', '.join(vars(self))}", name)
            elif not isinstance(value, bool):
                raise _bad(name, "true or false", value)
        return replace(self, **change)

    @property
    def is_typical(self) -> bool:
        """Whether a typical batch is asked for, though there may be one of the user's own."""
        return self.picture is not None or self.text is not None

    @property
    def gpu(self) -> Device | None:
        """The GPU that was named; None for ``HERE``."""
        return DEVICES.get(self.device)


def _bad(name: str, expected: str, found: object) -> InvalidStrategy:
    return InvalidStrategy(
        f"A cost cannot be estimated with this {name}.",
        expected=expected,
        found=shorten(repr(found), 60),
        remedy="Choose another value in the card of the cost.",
    )
