"""What can train: one tensor that the optimizer moves, and the check that a model's weights are of that kind."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ...core.errors import ModelNotTrainable
from ...core.strategy.plan import Plan
from ..failures.lost_device import check_answers
from .unfit_tensors import check_tensors


@dataclass(frozen=True)
class Trainable:
    """One tensor that the optimizer moves.

    Attributes:
        name: Base parameter name, or "<module>.lora_A" and the like.
        module: Path of the module that it belongs to.
        component: Its component.
        parameter: The tensor in the model.
        is_adapter: Whether it was added by LoRA.
    """

    name: str
    module: str
    component: str
    parameter: nn.Parameter
    is_adapter: bool


def _is_adapted(module: nn.Module) -> bool:
    """Whether it is an adapter's layer around another one, and not only called like one."""
    return hasattr(module, "base_layer") and any(c.__module__.partition(".")[0] == "peft" for c in type(module).__mro__)


def check_trainable(model: nn.Module, plan: Plan) -> None:
    """Raises when the model's weights cannot train as planned.

    Raises:
        ModelNotTrainable: Names the modules or tensors that stand in the way.
        RestartNeeded: The device that the weights are on was lost.
    """
    check_answers(model)
    on_meta = [name for name, p in model.named_parameters() if p.is_meta]
    if on_meta:
        raise ModelNotTrainable(
            f"{len(on_meta)} parameter tensors have no values.",
            expected="weights in memory",
            found=f"meta tensors, such as {on_meta[0]}",
            remedy="Load the weights (from_pretrained without offloading); a model on meta can only be planned and costed.",
        )
    check_tensors(model, plan)
    adapted = [name for name, module in model.named_modules() if _is_adapted(module)]
    if adapted:
        raise ModelNotTrainable(
            "The model carries adapters already.",
            expected="a model without adapters",
            found=f"{len(adapted)} adapted modules, such as {adapted[0]}",
            remedy="To build on them, merge them: model = peft_model.merge_and_unload(). To train the same places anew, take them "
            "as a strategy: strategy = vf.import_strategy(peft_model, tree), then Burst(peft_model.unload(), strategy, ...).",
        )
    by_name = dict(model.named_parameters())
    packed = [name for name in plan.trainable if name in by_name and not by_name[name].is_floating_point()]
    if packed:
        raise ModelNotTrainable(
            f"{len(packed)} quantized weights cannot train in full.",
            expected="floating-point weights",
            found=f"{by_name[packed[0]].dtype} in {packed[0]}",
            remedy="Use LoRA there, or load the model unquantized.",
        )
    lost = [
        path
        for path, lora in plan.lora_targets.items()
        if lora.use_dora and _is_eight_bit_on_cpu(by_name.get(f"{path}.weight"))
    ]
    if lost:
        raise ModelNotTrainable(
            f"DoRA cannot train on {len(lost)} 8-bit weights on a CPU.",
            expected="DoRA on weights of another kind, or on a GPU",
            found=f"8-bit weights of bitsandbytes, such as {lost[0]}",
            remedy="Use LoRA without DoRA there, or load the model in 4 bits or unquantized.",
        )


def _is_eight_bit_on_cpu(weight: nn.Parameter | None) -> bool:
    """Whether PEFT's DoRA (0.21) would lose the scales of a weight of bitsandbytes: it moves a copy to the CPU in its place."""
    return weight is not None and hasattr(weight, "SCB") and weight.device.type == "cpu"
