"""What trains in a live PeftModel, read from its parameters' own names and flags: its config says what was asked for, not what
was changed by hand afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.strategy.tuning import Lora
from .selection import Selection

_PREFIX = "base_model.model."


def is_peft_model(source: Any) -> bool:  # anything
    """Whether this is a model with PEFT's adapters around it."""
    return isinstance(getattr(source, "peft_config", None), Mapping) and hasattr(source, "named_parameters")


def as_it_is(model: Any, simulated: Selection) -> Selection:  # a PeftModel
    """What its flags say, where they differ from its config.

    Args:
        model: A PeftModel.
        simulated: What its config selects, with rates.

    Returns:
        The same, or with the parameters that really train and a note that tells how many were changed by hand.
    """
    full: set[str] = set()
    adapted: set[str] = set()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        path = name.removeprefix(_PREFIX)
        if "trainable_tokens_" in path:
            continue  # rows of an embedding, which no strategy can name; the import's notes say so
        if ".lora_" in path:
            adapted.add(path.partition(".lora_")[0].replace(".base_layer", ""))
        elif ".modules_to_save." in path:
            before, _, after = path.partition(".modules_to_save.")
            full.add(f"{before}.{after.partition('.')[2]}")
        else:
            full.add(path.replace(".base_layer", ""))
    # A stack of experts has no name of its own among PEFT's wrappers; its module stands for it.
    stacks = {path for path in simulated.lora if path.rpartition(".")[0] in adapted}
    lora: dict[str, Lora] = {p: a for p, a in simulated.lora.items() if p in adapted or p in stacks}
    opened, closed = full - simulated.trainable, simulated.trainable - full
    silent = simulated.lora.keys() - lora.keys()
    if not (opened or closed or silent):
        return simulated
    usual = next(iter(simulated.lr.values()), 2e-4)
    changed = replace(simulated, trainable=frozenset(full), lora=lora).at_rate(usual)
    shown = ", ".join(sorted(opened | closed | silent)[:3])
    return changed.noting(
        f"The model's flags are not what its config made: {len(opened)} tensors opened, {len(closed) + len(silent)} closed by "
        f"hand ({shown})."
    )
