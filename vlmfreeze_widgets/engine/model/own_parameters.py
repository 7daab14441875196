"""A module's own parameters, read without asking its attributes."""

from __future__ import annotations

from torch import nn


def own_parameter(module: nn.Module, name: str) -> nn.Parameter | None:
    """A parameter that the module itself holds under a name; None where it holds none.

    ``module.weight`` is not the same: a parametrization computes it at each access, and ``spectral_norm`` moves its buffers
    when it does so in training mode. Looking at a model may change nothing.
    """
    return dict(module.named_parameters(recurse=False, remove_duplicate=False)).get(name)
