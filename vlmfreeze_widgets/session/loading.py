"""Bringing the weights of a session's source, on its worker thread; the map and the plan stay in use meanwhile."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import torch

from ..core.errors import WrongPhase
from ..core.language.phrase import say
from ..core.wire.load_state import LoadChoices
from ..core.wire.run_state import BUSY
from ..engine.model.read import read_tree
from .context import SessionContext
from .strategy_editor import StrategyEditor


class Loading:
    """Loads the weights of what a session has planned so far.

    Args:
        context: Of the session; its model is set.
        editor: Its strategy, which moves to the tree of the model.
    """

    def __init__(self, context: SessionContext, editor: StrategyEditor) -> None:
        self._context = context
        self._editor = editor

    @property
    def choices(self) -> LoadChoices | None:
        """How the weights could be loaded on this machine; None where there are none to load."""
        if self._context.source is None:
            return None
        gpus = [(f"cuda:{i}", _gpu(i)) for i in range(torch.cuda.device_count())]
        several = [("auto", say("spread over all devices"))] if gpus else []
        total = self._context.tree.total_params
        sizes = (
            ("auto", self._context.tree.root.total_bytes),
            ("bfloat16", 2 * total),
            ("float16", 2 * total),
            ("float32", 4 * total),
        )
        return LoadChoices(
            (("", gpus[0][1] if gpus else "CPU"), *gpus[1:], *several, *([("cpu", "CPU")] if gpus else [])),
            importlib.util.find_spec("bitsandbytes") is not None,
            sizes,
        )

    def load(self, dtype: str = "auto", device: str | None = None) -> None:
        """Starts to bring the weights of the source, on the worker thread; the map and the plan stay in use meanwhile.

        Args:
            dtype: "auto" (as stored), "bfloat16", "float16", "float32", or "4bit" (QLoRA: the language model in NF4).
            device: Such as "cuda:0"; "auto" spreads over what there is. By default the first GPU, else the CPU.

        Raises:
            WrongPhase: There is nothing to load, or the session is busy.
        """
        with self._context.lock:
            if self._context.source is None or self._context.status.phase in BUSY:
                raise WrongPhase(
                    "No weights can be loaded now.",
                    expected="a session that was opened on a folder or a Hub id, and is not busy",
                    found=self._context.status.phase
                    if self._context.source
                    else "weights that are here already, or a config alone",
                    remedy="Open the folder: Workbench('path/to/model').",
                )
            source = self._context.source
            self._context.set(phase="loading", step=0, steps=0, error=None)
            self._context.worker.post(lambda: self._load(source, dtype, device))

    def _load(self, source: str | Path, dtype: str, device: str | None) -> None:
        began = time.monotonic()

        def on_progress(done: int, total: int) -> None:
            left = (time.monotonic() - began) / done * (total - done) if done else None
            self._context.set(step=done, steps=total, eta_seconds=left)

        try:
            from ..adapters import transformers_weights

            model = transformers_weights.load(source, dtype, device=device, on_progress=on_progress)
            tree = read_tree(model, title=self._context.tree.title)
            self._editor.move_to(tree)
        except Exception as error:
            self._context.fail(error, "plan_only")
            return
        context = self._context
        with context.lock:
            context.tree, context.model, context.source = tree, model, None
        self._context.tell("tree")
        self._context.tell("plan")
        self._context.set(phase=self._context.rest, step=0, steps=0, eta_seconds=None)


def _gpu(index: int) -> str:
    free, total = torch.cuda.mem_get_info(index)
    return f"{torch.cuda.get_device_name(index)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
