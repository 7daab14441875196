"""Training mode and rest: which modules are in which while a burst works. Giving the modes back is in ``engine.apply.snapshot``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ...core.history.norms import with_ancestors
from ..model.own_parameters import own_parameter
from .activation_checkpointing import recomputes


def train_what_trains(model: nn.Module) -> None:
    """Training mode where something trains; whatever is frozen rests: its dropout is off, its statistics do not drift.

    A frozen layer that recomputes its activations stays in training mode, since transformers recomputes only there; it rests
    while its own forward runs (``engine.apply.activation_checkpointing``).
    """
    model.train()
    trained = {""}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            trained.update(with_ancestors(name.rpartition(".")[0]))
    resting: set[str] = set()
    for path, module in model.named_modules():
        own = next(module.parameters(), None) is not None or any(b is not None for b in module._buffers.values())
        # A module without tensors (dropout, an activation) goes with the module that it belongs to.
        if path not in trained and (own or path.rpartition(".")[0] in resting):
            resting.add(path)
            module.training = recomputes(module) or _repacks_at_rest(module)


def rest_all(model: nn.Module) -> None:
    """Evaluation mode, for a look without training."""
    model.eval()
    for module in model.modules():
        module.training = _repacks_at_rest(module)


def follow_modes(model: nn.Module, found: Mapping[int, bool]) -> None:
    """Gives modules their modes.

    Args:
        model: The module on top, one of those found.
        found: Id of a module -> training or not. A module that is not in it, such as an adapter's dropout, goes with the layer
            that it wraps, or else with the module that it belongs to.
    """
    seen: set[int] = set()
    waiting = [(model, model.training)]
    while waiting:
        module, above = waiting.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        base = module
        while id(base) not in found and isinstance(inner := getattr(base, "base_layer", None), nn.Module):
            base = inner
        module.training = found.get(id(base), above)
        waiting += [(child, module.training) for child in module.children()]


def keep_from_repacking(model: nn.Module) -> None:
    """Training mode for layers that would rewrite their weight at rest; it changes nothing of what they compute."""
    for module in model.modules():
        if _repacks_at_rest(module):
            module.training = True


def _repacks_at_rest(module: nn.Module) -> bool:
    """A 4-bit layer of bitsandbytes on a CPU rewrites its weight in place in its first forward pass in evaluation mode."""
    return hasattr(own_parameter(module, "weight"), "quant_state")
