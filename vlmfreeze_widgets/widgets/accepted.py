"""What a Workbench may be given; how arguments are checked is in ``core.arguments``."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.arguments import BATCHES_BY_STAGE, FLAG, RATE, Kind, instance, maybe, one_of
from ..core.errors import InvalidStrategy
from ..core.recipes.stages import STRATEGY_OR_STAGES
from ..core.strategy.accepted import STRATEGY
from ..session import WATCHED, BurstSettings, Session

WORKBENCH: dict[str, Kind] = {
    "batches": maybe(BATCHES_BY_STAGE),
    "strategy": maybe(STRATEGY_OR_STAGES),
    "lr": maybe(RATE).raising(InvalidStrategy),
    "session": maybe(instance(Session, "a vf.Session", "Show the model itself: vf.Workbench(model, batches).")),
    "keep_running": FLAG,
    **WATCHED,
}
"""Of its constructor."""

CONTENDERS = Kind(
    "a mapping of names to strategies",
    lambda value: isinstance(value, Mapping) and all(isinstance(n, str) and STRATEGY.fits(s) for n, s in value.items()),
    "Write, for example, bench.compare({{'projector': vf.Strategy({{'projector': 'full'}})}}).",
    error=InvalidStrategy,
)
DTYPE = one_of(("auto", "bfloat16", "float16", "float32", "4bit"), "bfloat16")


def setting_names() -> tuple[str, ...]:
    """The settings that a page takes as keywords."""
    return tuple(BurstSettings.__dataclass_fields__)
