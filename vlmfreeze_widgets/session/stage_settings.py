"""From a published stage to the settings of a burst: schedule, warm-up, optimizer, clipping. What the source does not say stays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..core.errors import UnknownTarget
from ..core.recipes.published import find_stage
from ..engine.settings import BurstSettings


def with_stage(settings: BurstSettings, name: str) -> tuple[BurstSettings, str]:
    """Settings with those of a published stage.

    Args:
        settings: As they are. Steps, micro-batches and precision are those of this machine and stay.
        name: "llava-1.5/pretrain".

    Returns:
        The settings, and what changed, in words.

    Raises:
        UnknownTarget: No such stage.
        InvalidStrategy: A burst cannot be run so.
    """
    _, stage = find_stage(name)
    if stage is None:
        raise UnknownTarget(
            f"{name!r} names no stage.",
            expected="a recipe and its stage",
            found=repr(name),
            remedy="Write, for example, llava-1.5/pretrain.",
        )
    stage_values: dict[str, Any] = {"optimizer": stage.optimizer}
    if stage.schedule:
        stage_values |= {"scheduler": stage.schedule, "warmup_steps": stage.warmup_steps(settings.steps)}
    if stage.max_grad_norm is not None:
        stage_values["max_grad_norm"] = stage.max_grad_norm
    made = replace(settings, **stage_values)
    words = [
        f"{key.replace('_', ' ')} {value}" for key, value in stage_values.items() if getattr(settings, key) != value
    ]
    return made, ", ".join(words)
