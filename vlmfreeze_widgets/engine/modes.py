"""Training mode and rest: which modules are in which while a burst works. Giving the modes back is in ``engine.snapshot``."""

from __future__ import annotations

from torch import nn

from ..core.norms import with_ancestors


def train_what_trains(model: nn.Module) -> None:
    """Training mode where something trains; whatever is frozen rests: its dropout is off, its statistics do not drift.

    A frozen layer that recomputes its activations stays in training mode, since transformers recomputes only there.
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
            module.training = bool(getattr(module, "gradient_checkpointing", False)) or _repacks_at_rest(module)


def rest_all(model: nn.Module) -> None:
    """Evaluation mode, for a look without training."""
    model.eval()
    for module in model.modules():
        module.training = _repacks_at_rest(module)


def _repacks_at_rest(module: nn.Module) -> bool:
    """A 4-bit layer of bitsandbytes on a CPU rewrites its weight in place in its first forward pass in evaluation mode."""
    return hasattr(getattr(module, "weight", None), "quant_state")
