"""A burst's own random streams: they neither disturb nor are disturbed by other cells. Not a replacement for seeds of data.

Two of them: one for the model (LoRA's start values, dropout), one for whoever makes the batches (shuffling, augmentation).
Apart, a pass over the data can be gone through again, to the same place, without computing the model.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

State = dict[str, Any]
"""Name of a generator -> its state: "torch", "cuda" or "mps" a byte tensor; "python" and "numpy" plain data."""


class RandomStream:
    """A state of the default generators that is swapped in while the burst draws.

    Args:
        seed: Of the stream.
        device: An accelerator whose generator is swapped too.
        with_libraries: Swap the generators of Python's ``random`` and of numpy (if it is loaded) too.
    """

    def __init__(self, seed: int, device: torch.device, with_libraries: bool = False) -> None:
        self._device = device if device.type in ("cuda", "mps") else None
        self._own: State = {"torch": torch.Generator().manual_seed(seed).get_state()}
        if self._device is not None:
            self._own[self._device.type] = torch.Generator(self._device).manual_seed(seed).get_state()
        if with_libraries:
            self._own["python"] = random.Random(seed).getstate()
            if (numpy := sys.modules.get("numpy")) is not None:
                self._own["numpy"] = numpy.random.RandomState(seed % 2**32).get_state()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within the block everybody draws from this stream; afterwards they find their own as they left it."""
        found = self._read()
        try:
            self._write(self._own)
            yield
        finally:
            try:
                self._own = self._read()
            finally:
                self._write(found)

    @property
    def state(self) -> State:
        """Where the stream stands, while it is not active. Can be set."""
        return dict(self._own)

    @state.setter
    def state(self, state: State) -> None:
        # A stream saved where numpy was not loaded, or on another device, keeps its own seed there.
        self._own = {**self._own, **{name: value for name, value in state.items() if name in self._own}}

    def now(self) -> State:
        """Where the stream stands, while it is active."""
        return self._read()

    def _read(self) -> State:
        state: State = {"torch": torch.get_rng_state()}
        if self._device is not None:
            cuda = self._device.type == "cuda"
            state[self._device.type] = torch.cuda.get_rng_state(self._device) if cuda else torch.mps.get_rng_state()
        if "python" in self._own:
            state["python"] = random.getstate()
        if "numpy" in self._own:
            state["numpy"] = sys.modules["numpy"].random.get_state()
        return state

    def _write(self, state: State) -> None:
        torch.set_rng_state(state["torch"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self._device or "cuda")
        if "mps" in state:
            torch.mps.set_rng_state(state["mps"])
        if "python" in state:
            random.setstate(state["python"])
        if "numpy" in state:
            sys.modules["numpy"].random.set_state(state["numpy"])


def draws_random_numbers(model: nn.Module) -> bool:
    """Whether a training step of the model draws random numbers.

    The default generators are shared by all threads, so they are left alone unless something has a dropout above 0: then a
    draw in another cell, in the middle of a step, cannot touch the burst, nor the burst that cell.
    """
    for module in model.modules():
        for name, value in vars(module).items():
            is_rate = isinstance(value, float) and ("drop" in name or name == "p")
            if is_rate and value > 0:
                return True
    return False
