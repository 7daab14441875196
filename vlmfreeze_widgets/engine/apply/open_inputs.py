"""Hooks that make the inputs of frozen modules require a gradient, and their removal while a plan is on the model. Giving them back
is in ``engine.apply.snapshot``, recomputation itself in ``engine.apply.activation_checkpointing``.

transformers' ``enable_input_require_grads`` and PEFT's ``prepare_model_for_kbit_training`` register them. From transformers 5.23 on
``gradient_checkpointing_enable`` does it too, on the input embedding of every nested model, a vision tower's patch embedding among
them. A frozen tower behind such a hook keeps its graph, is computed twice and takes part in the backward pass.
"""

from __future__ import annotations

from torch import nn

_OPENING = ({"requires_grad_"}, {"requires_grad"})


def remove_input_hooks(model: nn.Module) -> int:
    """Removes every hook that only makes what goes into or comes out of a module require a gradient.

    Such hooks serve the reentrant form of recomputation alone; ``engine.apply.activation_checkpointing`` opens the input of
    the first layer that trains instead.

    Args:
        model: Whose structure was kept (``engine.apply.snapshot``), or a copy.

    Returns:
        How many hooks were removed.
    """
    removed = 0
    for module in model.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            for key in [key for key, hook in hooks.items() if _only_opens(hook)]:
                del hooks[key]
                removed += 1
    return removed


def _only_opens(hook: object) -> bool:
    """Whether the hook's code names nothing but ``requires_grad``: that of transformers, of PEFT, and the copies in trainers."""
    code = getattr(hook, "__code__", None)
    return code is not None and set(code.co_names) in _OPENING
