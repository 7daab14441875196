"""What computed a run: releases of Python and of the libraries whose change can change its numbers, and the machine's kind."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import torch

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "timm",
    "tokenizers",
    "safetensors",
    "pillow",
)


def versions(device: torch.device) -> dict[str, str]:
    """Name -> release of what is installed; "cuda" and "gpu" where the model lies on one."""
    found = {"vlmfreeze_widgets": _release("vlmfreeze_widgets"), "python": platform.python_version()}
    found |= {name: release for name in _PACKAGES if (release := _release(name))}
    found["platform"] = f"{sys.platform} {platform.machine()}"
    if device.type == "cuda":
        found |= {"cuda": torch.version.cuda or "", "gpu": torch.cuda.get_device_name(device)}
    return found


def _release(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
