"""A device that this process has lost: after a device-side assert CUDA answers nothing any more until Python is started anew.

Recognised, remembered for the process, reported. What is written first is in ``engine.burst.device_errors``, what happens to
the model in ``engine.burst.training_run``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ...core.errors import RestartNeeded
from ...core.shorten import shorten
from .error_chain import chain

# The errors that CUDA calls sticky: each later call of the process answers the same.
_WORDS = (
    "device-side assert triggered",
    "an illegal memory access was encountered",
    "an illegal instruction was encountered",
    "misaligned address",
    "unspecified launch failure",
    "operation not supported on global/shared address space",
    "hardware stack error",
    "invalid program counter",
    "uncorrectable ecc error",
)

_lost: dict[str, str] = {}


def is_lost(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, says that the device will not answer again."""
    return any(isinstance(e, RuntimeError) and any(word in str(e).lower() for word in _WORDS) for e in chain(error))


def why_lost(model: nn.Module) -> str | None:
    """The message of a model's device when this process lost it; None while all of them answer."""
    if not _lost:
        return None
    return next((_lost[p.device.type] for p in model.parameters() if p.device.type in _lost), None)


def check_answers(model: nn.Module) -> None:
    """Raises if this process lost a device that the model is on.

    Raises:
        RestartNeeded: Nothing but a new process helps.
    """
    reason = why_lost(model)
    if reason is not None:
        raise RestartNeeded(
            "This process lost the device of the model earlier; nothing can run on it.",
            expected="a device that answers",
            found=reason,
            remedy="Restart the kernel and load the model again.",
        )


def mark_lost(error: BaseException, device: torch.device) -> str:
    """Remembers that a device is lost.

    Returns:
        Its message.
    """
    message = next(e for e in chain(error) if is_lost(e) and str(e))
    return _lost.setdefault(device.type, shorten(str(message).strip().splitlines()[0], 240))


def error_of(device: torch.device, saved: Path | None) -> RestartNeeded:
    """The error that the user sees.

    Args:
        device: Lost.
        saved: Where the history was written.
    """
    kept = f"History, strategy and verdicts are in {saved}; " if saved is not None else ""
    return RestartNeeded(
        f"The {device.type} device stopped answering. {kept}what had trained, and the model's weights, cannot be read any more.",
        expected="a device that answers",
        found=_lost.get(device.type, "one that does not"),
        remedy=(
            "Restart the kernel and load the model again. The cause is mostly a label or token id beyond the vocabulary: "
            "one step on the CPU, or CUDA_LAUNCH_BLOCKING=1, names the line."
        ),
    )
