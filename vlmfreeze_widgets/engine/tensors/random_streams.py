"""A burst's own random streams: they neither disturb nor are disturbed by other cells. Not a replacement for seeds of data.

Two of them: one for the model (LoRA's start values, dropout), one for the code that makes the batches (shuffling, augmentation).
Apart, a pass over the data can be gone through again, to the same place, without computing the model.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

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
        self._name = "torch" if self._device is None else self._device.type
        self._generator: torch.Generator | None = None
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

    @contextmanager
    def led(self) -> Iterator[None]:
        """Within the block what *this thread* draws to fill tensors comes from the stream; the default generators stay as they are.

        Made for making layers: initialisers and random factories are led, dropout is not.
        """
        made = {"cpu": torch.Generator()}
        made["cpu"].set_state(self._own["torch"])
        if self._device is not None:
            made[self._device.type] = self.generator()
        try:
            with _Led(made):
                yield
        finally:
            self._own["torch"] = made["cpu"].get_state()
            if self._device is not None:
                self._own[self._name] = made[self._name].get_state()

    def generator(self) -> torch.Generator:
        """A generator that goes on from here, to be drawn from by name."""
        made = torch.Generator(self._device or torch.device("cpu"))
        made.set_state(self._own[self._name])
        return made

    def follow(self, generator: torch.Generator) -> None:
        """From now on the stream stands where this generator does."""
        self._generator = generator

    @property
    def state(self) -> State:
        """Where the stream stands, while it is not active. Can be set."""
        if self._generator is not None:
            self._own[self._name] = self._generator.get_state()
        return dict(self._own)

    @state.setter
    def state(self, state: State) -> None:
        # A stream saved where numpy was not loaded, or on another device, keeps its own seed there.
        self._own = {**self._own, **{name: value for name, value in state.items() if name in self._own}}
        if self._generator is not None:
            self._generator.set_state(self._own[self._name])

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


_FILLS = frozenset(
    getattr(torch.Tensor, name)
    for name in ("bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_")
)
_MAKES = frozenset(
    {torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal, torch.bernoulli, torch.multinomial}
)


class _Led(TorchFunctionMode):
    """Gives a generator to every function that draws and was given none, on this thread.

    Args:
        generators: Kind of device -> generator.
    """

    def __init__(self, generators: dict[str, torch.Generator]) -> None:
        super().__init__()
        self._generators = generators

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        # Initialisers of torch.nn.init name their generator, None when they were given none.
        if (func in _FILLS or func in _MAKES or "generator" in kwargs) and kwargs.get("generator") is None:
            first = args[0] if args else kwargs.get("tensor")
            where = first.device if isinstance(first, torch.Tensor) else torch.device(kwargs.get("device") or "cpu")
            if where.type in self._generators:
                kwargs["generator"] = self._generators[where.type]
        return func(*args, **kwargs)
