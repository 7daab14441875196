"""Dropout that draws from a generator of the burst's own: threads that draw meanwhile neither disturb it nor are disturbed.

Only ``nn.Dropout`` can be led there. Dropout inside attention, stochastic depth and recomputed layers draw from torch's default
generators wherever they are; for those ``engine.tensors.random_streams`` swaps the generators' states around each step.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn


class OwnDropout:
    """Takes the place of one module's ``forward``; on a CPU its numbers are those of torch's own dropout, bit for bit.

    Args:
        module: The dropout.
        generator: To draw from, on the device where the module computes.
    """

    def __init__(self, module: nn.Dropout, generator: torch.Generator) -> None:
        self._module = module
        self._generator = generator

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Zeroes elements at the module's rate while it is in training mode."""
        keep = 1 - self._module.p
        if not self._module.training or keep == 1:
            return x
        noise = torch.empty_like(x)
        if keep == 0:
            return x * noise.zero_()
        return x * noise.bernoulli_(keep, generator=self._generator).div_(keep)

    def __deepcopy__(self, memo: dict[int, object]) -> OwnDropout:
        # Somebody copies the model in mid-burst: the copy draws for itself, from here on.
        copied = memo.get(id(self._module), self._module)
        assert isinstance(copied, nn.Dropout)
        return OwnDropout(copied, self._generator.clone_state())


def lead(model: nn.Module, generator: torch.Generator) -> bool:
    """Leads every dropout of the model to the generator, if all its random numbers come from such modules.

    Args:
        model: With its plan applied; giving it back undoes this.
        generator: On the model's device.

    Returns:
        False when something else draws too; nothing is changed then.
    """
    dropouts: list[nn.Dropout] = []
    for module, rates in _drawing(model):
        if type(module) is not nn.Dropout or module.inplace or "forward" in vars(module) or set(rates) != {"p"}:
            return False
        dropouts.append(module)
    for module in dropouts:
        module.forward = OwnDropout(module, generator)  # type: ignore[method-assign,assignment]
    return True


def draws_random_numbers(model: nn.Module) -> bool:
    """Whether a training step of the model draws random numbers: something has a dropout above 0."""
    return next(_drawing(model), None) is not None


def _drawing(model: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    for module in model.modules():
        rates = [
            name
            for name, value in vars(module).items()
            if isinstance(value, float) and value > 0 and ("drop" in name or name == "p")
        ]
        if rates:
            yield module, rates
