"""Ways of torch around its own modules, by which a layer reads a child's weight instead of calling the child, so that an adapter on
the child is not seen. They are closed while adapters are on; giving the model back opens them again.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...core.tree.components import is_below


def close_fast_paths(model: nn.Module, adapted: Iterable[str]) -> None:
    """Lets every layer around an adapter call its children, in evaluation mode too.

    ``nn.TransformerEncoderLayer`` in evaluation mode without gradients computes in one kernel from ``linear1.weight`` and others
    (torch 2.13; since 1.12). Closed by attributes that only the choice of the way reads, on the layers concerned: torch's own
    switch (``torch.backends.mha``) is global. A stack of such layers would also hand them nested tensors, which only that
    kernel takes.

    Args:
        model: Its attributes are changed.
        adapted: Paths of the modules that carry adapters.
    """
    paths = list(adapted)
    for path, module in model.named_modules():
        if not isinstance(module, nn.TransformerEncoderLayer | nn.TransformerEncoder):
            continue
        if any(is_below(place, path) for place in paths):
            if isinstance(module, nn.TransformerEncoder):
                module.use_nested_tensor = False
            else:
                module.activation_relu_or_gelu = 0
