"""``target_parameters`` of a LoraConfig: adapters on parameters themselves, such as stacks of experts. Those on modules are in
``peft_rule``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..core.errors import TrainerRefuses
from ..core.strategy.tuning import Lora
from ..core.tree.tree import ModuleTree
from .name_matching import has_suffix


def reached(tree: ModuleTree, names: list[str]) -> dict[str, str]:
    """Place -> name of each parameter that ``target_parameters`` reach, by suffix.

    B·A on the weight of a linear layer is LoRA on that layer; of other parameters (a router's) the name is the place.

    Raises:
        TrainerRefuses: A parameter among them has neither two dimensions nor three, at which PEFT stops.
    """
    found = {}
    for parameter in tree.parameters:
        if parameter.is_alias or not has_suffix(parameter.name, names):
            continue
        if len(parameter.shape) not in (2, 3):
            raise TrainerRefuses(
                "PEFT stops (ValueError): target_parameters reach a parameter that has neither two dimensions nor three.",
                expected="parameters of two or three dimensions",
                found=f"{parameter.name} of shape {tuple(parameter.shape)}",
                remedy="Leave it out of target_parameters; modules_to_save trains the module that holds it in full.",
            )
        holder = tree.by_path.get(parameter.name.removesuffix(".weight"))
        is_layer = holder is not None and holder.path != parameter.name and holder.adaptable == "linear"
        found[holder.path if is_layer and holder is not None else parameter.name] = parameter.name
    return found


def notes_on_unmatched(names: Iterable[str], stacks: Mapping[str, str]) -> list[str]:
    """That PEFT passes over some of ``target_parameters`` without a word, in a sentence; none where each is found."""
    nowhere = [name for name in names if not any(has_suffix(found, [name]) for found in stacks.values())]
    if not nowhere:
        return []
    return [
        f"target_parameters: no parameter is called {', '.join(nowhere)} or ends in it at a dot; PEFT adapts nothing for it and "
        "does not stop."
    ]


def check_some(targets: object, names: list[str], stacks: Mapping[str, str]) -> None:
    """What PEFT refuses where parameters are all it is given, and none is there."""
    if targets is None and names and not stacks:
        raise TrainerRefuses(
            "PEFT stops: no parameter matches target_parameters, and there are no target modules.",
            expected="the end of a parameter's name, such as experts.down_proj",
            found=", ".join(names)[:120],
            remedy="Take names from model.named_parameters(); those of modules belong in target_modules.",
        )


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
