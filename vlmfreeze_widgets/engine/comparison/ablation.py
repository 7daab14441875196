"""Runs the corners of (frozen / full / LoRA) per component. What is made of them is in ``core.comparison.ablation``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from ...core.arguments import BATCHES, FUNCTION, checked, found_for, many, maybe
from ...core.comparison.ablation import Ablation, corners
from ...core.errors import InvalidStrategy
from ...core.strategy.strategy import Strategy
from ...core.strategy.tuning import as_tuning
from ..accepted import MODEL, keywords_of
from ..model.ownership import check_free
from ..model.read import read_tree
from ..model.wrappers import unwrap
from .comparison import Comparison
from .turn_scheduler import ComparedStep

_PARTS = ("vision_tower", "projector", "language_model")
_AT_ONCE = 4
_NAMES = many(
    lambda one: isinstance(one, str), "a list of components", 'Write {name}=["projector", "language_model"], say.'
).raising(InvalidStrategy)
_TUNINGS = many(
    lambda one: one is not None, "a list of tunings", 'Write {name}=("frozen", "full", "lora"), say.'
).raising(InvalidStrategy)


@checked(
    lambda: keywords_of(Comparison.__init__, "keep_results"),
    model=MODEL,
    batches=BATCHES,
    components=maybe(_NAMES),
    tunings=_TUNINGS,
    on_step=maybe(FUNCTION),
)
def ablation(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    components: Sequence[str] | None = None,
    tunings: Sequence[object] = ("frozen", "full", "lora"),
    lr: Mapping[str, float] | float | None = None,
    on_step: Callable[[ComparedStep], None] | None = None,
    **given: Any,  # keywords of Comparison
) -> Ablation:
    """Compares every choice of a tuning per component, and says which part pays.

    Args:
        model: A real model; it is as before afterwards.
        batches: Everyone sees the same.
        components: Those to vary; None: of vision tower, projector and language model those that the model has. With n of them and
            k tunings there are k to the n, less one, runs per seed.
        tunings: What each can be; "frozen" must be among them, since a part's worth is measured against it.
        lr: As of a strategy; None: the default of each part and tuning.
        on_step: Called with each step.
        given: As of ``Comparison``: eval_batches (needed), steps, seeds, at_once (4 by default), burst settings.

    Returns:
        The board of all corners, the worth of each part in each way, and a sentence.

    Raises:
        InvalidStrategy: No held-out batches, "frozen" is not among the tunings, or nothing else is.
        VlmFreezeError: As of ``Comparison``.
    """
    if given.get("eval_batches") is None:
        raise _bad("held-out batches, on which what pays is judged", "none", "Give eval_batches=...")
    model = unwrap(model)
    check_free(model)
    tree = read_tree(model)
    varied = tuple(c for c in _PARTS if c in tree.components) if components is None else tuple(components)
    for name in varied:
        if name not in tree.components:
            raise tree.unknown(name)
    made = corners(varied, tunings)
    if not made or not any(as_tuning(t).kind == "frozen" for t in tunings):
        raise _bad(
            'tunings with "frozen" and at least one other, of at least one component',
            found_for(tunings),
            'Write tunings=("frozen", "full"), and name a component at least.',
        )
    strategies = {name: Strategy(rules, lr, name=name) for name, rules in made.items()}
    running = Comparison(model, strategies, batches, **{"at_once": _AT_ONCE, "keep_results": False, **given})
    return Ablation(running.run(on_step), varied, made)


def _bad(expected: str, found: str, remedy: str) -> InvalidStrategy:
    return InvalidStrategy("An ablation cannot run like this.", expected=expected, found=found, remedy=remedy)
