"""A burst's own random stream: it neither disturbs nor is disturbed by other cells. Not a replacement for seeds of data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class RandomStream:
    """A state of torch's default generators that is swapped in while the burst computes.

    Args:
        seed: Of the stream.
        device: An accelerator whose generator is swapped too.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        found = self._read()
        torch.manual_seed(seed)
        self._own = self._read()
        self._write(found)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within the block torch draws from this stream; afterwards everybody finds their own as they left it."""
        found = self._read()
        self._write(self._own)
        try:
            yield
        finally:
            self._own = self._read()
            self._write(found)

    def _read(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        on_device = torch.cuda.get_rng_state(self._device) if self._device is not None else None
        return torch.get_rng_state(), on_device

    def _write(self, state: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        torch.set_rng_state(state[0])
        if self._device is not None and state[1] is not None:
            torch.cuda.set_rng_state(state[1], self._device)


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
