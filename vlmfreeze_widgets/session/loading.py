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
from .phases import Phases


class Loading(Phases):
    """A session that can load what it has planned so far."""

    @property
    def load_choices(self) -> LoadChoices | None:
        """How the weights could be loaded on this machine; None where there are none to load."""
        if self._source is None:
            return None
        gpus = [(f"cuda:{i}", _gpu(i)) for i in range(torch.cuda.device_count())]
        several = [("auto", say("spread over all devices"))] if gpus else []
        total = self.tree.total_params
        sizes = (
            ("auto", self.tree.root.total_bytes),
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
        with self._lock:
            if self._source is None or self._status.phase in BUSY:
                raise WrongPhase(
                    "No weights can be loaded now.",
                    expected="a session that was opened on a folder or a Hub id, and is not busy",
                    found=self._status.phase if self._source else "weights that are here already, or a config alone",
                    remedy="Open the folder: Workbench('path/to/model').",
                )
            source = self._source
            self._set(phase="loading", step=0, steps=0, error=None)
            self._worker.post(lambda: self._load(source, dtype, device))

    def _load(self, source: str | Path, dtype: str, device: str | None) -> None:
        began = time.monotonic()

        def told(done: int, total: int) -> None:
            left = (time.monotonic() - began) / done * (total - done) if done else None
            self._set(step=done, steps=total, eta_seconds=left)

        try:
            from ..adapters import transformers_weights

            model = transformers_weights.load(source, dtype, device=device, on_progress=told)
            tree = read_tree(model, title=self.tree.title)
            self._edits.move_to(tree)
        except Exception as error:
            self._fail(error, "plan_only")
            return
        with self._lock:
            self.tree, self._model, self._source = tree, model, None
        self._tell("tree")
        self._tell("plan")
        self._set(phase=self._rest, step=0, steps=0, eta_seconds=None)


def _gpu(index: int) -> str:
    free, total = torch.cuda.mem_get_info(index)
    return f"{torch.cuda.get_device_name(index)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
