"""What the optimizer steps on: the parameters themselves, or float32 masters of half-precision ones.

AdamW on bfloat16 weights at lr 1e-5 moves nothing in 200 steps (every update rounds to zero); masters keep the small steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..core.errors import ModelNotTrainable

_HALF = (torch.float16, torch.bfloat16)


class Masters:
    """Pairs of a parameter in the model and the tensor that is optimized in its place.

    Args:
        parameters: Trainable parameters of the model.

    Raises:
        ModelNotTrainable: A float16 parameter, whose gradients would underflow without loss scaling.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        halves = [p for p in parameters if p.dtype == torch.float16]
        if halves:
            raise ModelNotTrainable(
                f"{len(halves)} trainable tensors are float16.",
                expected="float32 or bfloat16 where weights train",
                found="float16, whose small gradients become zero without loss scaling",
                remedy="Load the model with dtype='bfloat16', or use LoRA (adapters are float32).",
            )
        self.parameters = list(parameters)
        self.tensors: list[torch.Tensor] = [
            nn.Parameter(p.detach().float()) if p.dtype in _HALF else p for p in parameters
        ]
        self._of = {id(p): t for p, t in zip(self.parameters, self.tensors, strict=True)}
        self._pairs = [(p, t) for p, t in zip(self.parameters, self.tensors, strict=True) if t is not p]

    def of(self, parameter: nn.Parameter) -> torch.Tensor:
        """The tensor optimized in place of a parameter."""
        return self._of[id(parameter)]

    def take_gradients(self) -> None:
        """Moves the gradients of half-precision parameters to their masters, in float32."""
        for parameter, master in self._pairs:
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None

    def give_values(self) -> None:
        """Rounds the masters back into the model."""
        if self._pairs:
            with torch.no_grad():
                torch._foreach_copy_([p for p, _ in self._pairs], [m for _, m in self._pairs])

    def clear_gradients(self) -> None:
        """Sets every gradient to None."""
        for tensor in self.tensors:
            tensor.grad = None
        for parameter, _ in self._pairs:
            parameter.grad = None


def check_precision(model: nn.Module, precision: str) -> None:
    """Raises when "fp32" is asked of a model whose weights are not.

    Raises:
        ModelNotTrainable: Names a half-precision tensor.
    """
    half = [n for n, p in model.named_parameters() if p.dtype in _HALF] if precision == "fp32" else []
    if half:
        raise ModelNotTrainable(
            "The model's weights are in half precision.",
            expected="float32 weights for precision='fp32'",
            found=f"{len(half)} half-precision tensors, such as {half[0]}",
            remedy="Use precision='auto', or model.float() first.",
        )
