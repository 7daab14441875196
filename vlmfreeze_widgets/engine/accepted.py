"""What a public function may be given for a model, its batches and what a burst takes beside them; how arguments are checked is in
``core.arguments``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

from torch import nn

from ..core.arguments import HELD_OUT, PATH, Kind, many, maybe
from ..core.errors import BadBatch, InvalidStrategy, ModelNotTrainable
from .settings import BurstSettings

TRACKERS = ("trackio", "tensorboard", "wandb")
"""Programs that a burst can report to by name."""

MODEL = Kind(
    "a torch.nn.Module with weights",
    lambda value: isinstance(value, nn.Module),
    "Load it first; a config or a folder can be planned and costed, not trained.",
    error=ModelNotTrainable,
    problem="There is no model to train.",
)
ONE_BATCH = Kind(
    "a dict of tensors, as the model's processor makes them",
    lambda value: isinstance(value, Mapping) and bool(value),
    "Give one of the micro-batches, such as {name}=batches[0].",
    error=BadBatch,
    problem="This is not a micro-batch.",
)
MAYBE_BATCH = maybe(replace(ONE_BATCH, remedy=f"{ONE_BATCH.remedy[:-1]}, or leave it out for a typical one."))
QUESTIONS = many(
    lambda one: all(hasattr(one, name) for name in ("inputs", "prompt", "target")),
    "a list of vf.Question values",
    "Make each with vf.Question(inputs=processor(...), prompt=...), whose answers can be watched.",
)
RUN_FOLDER = replace(
    PATH,
    expected=f"{PATH.expected}, None (what VLMFREEZE_RUNS names) or False (nowhere)",
    fits=lambda value: value is None or value is False or PATH.fits(value),
)
_TRACKER = ("begin", "log", "end")


def _is_tracker(value: object) -> bool:
    return (
        value in TRACKERS if isinstance(value, str) else all(callable(getattr(value, name, None)) for name in _TRACKER)
    )


REPORT_TO = Kind(
    f"{', '.join(map(repr, TRACKERS))}, an object with begin, log and end, or a list of such",
    lambda value: (
        value is None
        or _is_tracker(value)
        or (isinstance(value, Iterable) and not isinstance(value, Mapping) and all(map(_is_tracker, value)))
    ),
    'Write {name}="tensorboard", or leave it out; a run folder needs nothing.',
    TRACKERS,
    error=InvalidStrategy,
    problem="A burst cannot report there.",
)
OPTIMIZER = Kind(
    "a torch.optim.Optimizer, or None",
    lambda value: value is None or hasattr(value, "param_groups"),
    "Give the optimizer itself, built for this model; by its name it is a setting of a burst.",
)
PROCESSOR = Kind(
    "a processor, a tokenizer, or a function from ids to text",
    lambda value: value is None or callable(value) or hasattr(value, "decode"),
    "Load it with vf.load_processor(folder), and give what that returns.",
)
WATCHED: dict[str, Kind] = {
    "eval_batches": HELD_OUT,
    "retention_batches": HELD_OUT,
    "questions": QUESTIONS,
    "processor": PROCESSOR,
    "run_folder": RUN_FOLDER,
    "report_to": REPORT_TO,
}
"""What a burst, and whatever runs bursts, takes beside the model, the strategy, the batches and the settings."""


def burst_settings() -> tuple[str, ...]:
    """The names of all settings of a burst, for the nearest to one that is misspelt."""
    return tuple(BurstSettings.__dataclass_fields__)


def keywords_of(function: Callable[..., Any], *left_out: str) -> tuple[str, ...]:
    """The keywords of a function that another one passes on, and the settings of a burst where it takes those."""
    found = signature(function).parameters
    more = burst_settings() if any(p.kind is p.VAR_KEYWORD for p in found.values()) else ()
    own = tuple(n for n, p in found.items() if p.kind is p.KEYWORD_ONLY and n not in left_out)
    return tuple(n for n in (*own, *more) if n not in left_out)
