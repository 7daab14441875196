"""What the optimizer steps on: the parameters themselves, or float32 master weights of half-precision ones.

AdamW on bfloat16 weights at lr 1e-5 moves nothing in 200 steps (every update rounds to zero); master weights keep the small steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from ...core.errors import ModelNotTrainable
from ..tensors.reduction import ONE_PROCESS, Reduction

_HALF = (torch.float16, torch.bfloat16)


class MasterWeights:
    """Pairs of a parameter in the model and the tensor that is optimized in its place.

    Args:
        parameters: Trainable parameters of the model.
        pure: Give none to bfloat16 parameters; they are stepped as they are.
        together: The processes that hold the parameters. A master of a shard is a shard.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], pure: bool = False, together: Reduction = ONE_PROCESS
    ) -> None:
        self.parameters = list(parameters)
        self._own_part = together.own_part
        mastered = (torch.float16,) if pure else _HALF
        self.tensors: list[torch.Tensor] = [
            nn.Parameter(p.detach().float()) if p.dtype in mastered else p for p in parameters
        ]
        self._of = {id(p): t for p, t in zip(self.parameters, self.tensors, strict=True)}
        self._pairs = [(p, t) for p, t in zip(self.parameters, self.tensors, strict=True) if t is not p]

    def of(self, parameter: nn.Parameter) -> torch.Tensor:
        """The tensor optimized in place of a parameter."""
        return self._of[id(parameter)]

    def take_gradients(self) -> None:
        """Moves the gradients of half-precision parameters to their master weights, in float32."""
        for parameter, master in self._pairs:
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None

    def give_values(self) -> None:
        """Rounds the master weights back into the model."""
        if self._pairs:
            part = self._own_part  # torch copies no lists of shards
            with torch.no_grad():
                torch._foreach_copy_([part(p) for p, _ in self._pairs], [part(m) for _, m in self._pairs])

    def clear_gradients(self) -> None:
        """Sets every gradient to None."""
        for tensor in self.tensors:
            tensor.grad = None
        for parameter, _ in self._pairs:
            parameter.grad = None


def computed_precision(model: nn.Module, precision: str, trained: Iterable[str]) -> str:
    """What "auto" means for this model; any other precision as it is, when the weights allow it.

    Args:
        model: Before anything is applied.
        precision: Of the settings.
        trained: Names of the base parameters that train in full.

    Returns:
        "fp16" for "auto" where the model has float16 weights, since their small gradients need a loss scale.

    Raises:
        ModelNotTrainable: "fp32" is asked of half-precision weights, or "bf16-pure" of others than bfloat16.
    """
    dtypes = {name: p.dtype for name, p in model.named_parameters() if p.is_floating_point()}
    if precision == "auto":
        return "fp16" if torch.float16 in dtypes.values() else "auto"
    half = [name for name, dtype in dtypes.items() if dtype in _HALF] if precision == "fp32" else []
    if half:
        raise ModelNotTrainable(
            "The model's weights are in half precision.",
            expected="float32 weights for precision='fp32'",
            found=f"{len(half)} half-precision tensors, such as {half[0]}",
            remedy="Use precision='auto', or model.float() first.",
        )
    if precision == "bf16-pure":
        wanted = [name for name in trained if name in dtypes] or list(dtypes)
        others = [name for name in wanted if dtypes[name] != torch.bfloat16]
        if len(others) == len(wanted) or any(dtypes[name] == torch.float16 for name in others):
            raise ModelNotTrainable(
                "These weights are not bfloat16.",
                expected="bfloat16 weights for precision='bf16-pure'",
                found=f"{str(dtypes[others[0]]).removeprefix('torch.')}, such as {others[0]}" if others else "none",
                remedy="Use precision='bf16-mixed', or model.bfloat16() first.",
            )
    return precision
