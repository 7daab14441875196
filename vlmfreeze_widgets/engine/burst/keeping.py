"""Keeping a result for whatever comes next: as a plain model where that loses nothing, else with its adapters.

How a result is kept is in ``engine.burst.result``; which weights can be merged into is in ``engine.apply.mergeable``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ...core.errors import CannotMerge
from ...core.language.phrase import Phrase, say
from ...core.recipes.stage import Stage
from ...core.strategy.plan import Plan
from ..apply.mergeable import check_mergeable
from ..model.wrappers import unwrap
from .result import BurstResult


def keep_plain_if_exact(result: BurstResult) -> Phrase | None:
    """Keeps a result merged where the weights can take the adapters, else with the adapters beside the weights.

    Returns:
        What the user has to know of it: that adapters stayed, or what a merge rounded away; None where there is nothing.
    """
    try:
        result.keep(merge=True)
    except CannotMerge as error:
        result.keep()
        return say(
            "The adapters stay beside the weights, since merging would lose what was trained ({found}).",
            found=error.found,
        )
    return None if result.merge_rounding is None else result.merge_rounding.sentence


def check_stages_mergeable(model: nn.Module, stages: Sequence[tuple[Stage, Plan]]) -> None:
    """Raises, before anything runs, where the adapters of a stage could not be carried over to the next one.

    Args:
        model: Without adapters.
        stages: Those that are to run, with their plans on this model. The last may keep its adapters.

    Raises:
        CannotMerge: Names the stage and what its weights are.
    """
    model = unwrap(model)
    for stage, plan in stages[:-1]:
        try:
            check_mergeable(model, plan.lora_targets)
        except CannotMerge as error:
            raise CannotMerge(
                f"After the stage {stage.name!r} nothing can follow: its adapters cannot be merged into these weights.",
                expected=error.expected,
                found=error.found,
                remedy="Make it the last stage (its adapters stay beside the weights then), train in full there, or load the "
                "base unquantized. Nothing has run.",
            ) from None
