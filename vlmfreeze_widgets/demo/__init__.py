"""The shipped tiny VLM: ``vf.demo()`` gives a real LLaVA of 1.3 M parameters with processor, pictures and batches, offline.

The recipe that trained it is ``python -m vlmfreeze_widgets.demo.train``; what it teaches is in ``demo.lessons``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bundle import Demo


def demo() -> Demo:
    """Loads the shipped tiny VLM, offline, in about a second.

    Returns:
        model, processor, batches (64 of 16 pictures), eval_batches (held-out pictures), captions, and more; each call gives
        a fresh model.
    """
    from .bundle import load_demo

    return load_demo()


class _CallableModule(ModuleType):
    """``vf.demo`` is this folder once something in it was imported, and a function before: let both be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Demo:  # those of demo
        return demo(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
