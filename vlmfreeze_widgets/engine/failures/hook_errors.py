"""Errors that come from a hook which the user put on a module, not from the model or its batch."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import CodeType
from typing import Any

from torch import nn

_OURS = ("torch.", "transformers.", "accelerate.", "peft.", "vlmfreeze_widgets.")


def hook_behind(error: BaseException, model: nn.Module) -> str | None:
    """The path of the module whose forward hook raised an error; None where no hook of the user's did.

    Args:
        error: With its traceback.
        model: That was called.
    """
    owners = {code: path for path, module in model.named_modules() for code in _codes(module)}
    if not owners:
        return None
    frames = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((owners[code] for code in reversed(frames) if code in owners), None)


def _codes(module: nn.Module) -> Iterator[CodeType]:
    for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
        function: Any = hook
        while hasattr(function, "func"):  # functools.partial
            function = function.func
        function = getattr(function, "__func__", function)
        code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
        if code is not None and not str(getattr(function, "__module__", "")).startswith(_OURS):
            yield code
