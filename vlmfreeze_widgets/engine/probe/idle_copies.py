"""Parameters of a PEFT model that are not in use: the originals beside trained copies, and adapters that are not active."""

from __future__ import annotations

from torch import nn


def idle_parameters(model: nn.Module) -> frozenset[str]:
    """Names of the parameters that the model does not compute with, as PEFT switched it.

    PEFT keeps the original of each of its ``modules_to_save`` beside the copy that trains, and every adapter that was ever added
    beside the active one. All of them are frozen, as they should be.

    Args:
        model: With or without adapters.
    """
    idle: set[str] = set()
    for path, module in model.named_modules():
        # What PEFT's layers and its wrappers of whole modules have in common; its models have no such names.
        containers = getattr(module, "adapter_layer_names", ())
        active = getattr(module, "active_adapters", None)
        if not isinstance(active, list | tuple) or not containers:
            continue
        for inner, _ in module.named_parameters():
            container, _, rest = inner.partition(".")
            adapter = rest.partition(".")[0]
            replaced = container == "original_module" and any(
                name in getattr(module, "modules_to_save", {}) for name in active
            )
            if replaced or (container in containers and adapter not in active):
                idle.add(f"{path}.{inner}" if path else inner)
    return frozenset(idle)
