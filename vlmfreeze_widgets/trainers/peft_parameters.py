"""``target_parameters`` of a LoraConfig: adapters on parameters themselves, such as stacks of experts. Those on modules are in
``peft_rule``.
"""

from __future__ import annotations

from ..core.errors import TrainerRefuses
from ..core.tree import ModuleTree
from ..core.tuning import Lora
from .names import has_suffix


def reached(tree: ModuleTree, names: list[str]) -> dict[str, str]:
    """Place -> name of each parameter that ``target_parameters`` reach, by suffix.

    B·A on the weight of a linear layer is LoRA on that layer; of other parameters (a router's) the name is the place.
    """
    found = {}
    for parameter in tree.parameters:
        if parameter.is_alias or len(parameter.shape) not in (2, 3) or not has_suffix(parameter.name, names):
            continue
        holder = tree.by_path.get(parameter.name.removesuffix(".weight"))
        is_layer = holder is not None and holder.path != parameter.name and holder.adaptable == "linear"
        found[holder.path if is_layer and holder is not None else parameter.name] = parameter.name
    return found


def check_alone(lora: Lora) -> None:
    """What PEFT refuses beside adapters on parameters."""
    if lora.dropout:
        raise TrainerRefuses(
            "PEFT stops: adapters on parameters work only without dropout.",
            expected="lora_dropout 0 with target_parameters",
            found=f"{lora.dropout:g}",
            remedy="Set the dropout to 0.",
        )
    if lora.use_dora:
        raise TrainerRefuses(
            "PEFT stops: adapters on parameters work only without DoRA.",
            expected="use_dora false with target_parameters",
            found="use_dora true",
            remedy="Leave DoRA or the stacks of experts out.",
        )
