"""``vf.compare``: a comparison from beginning to end in one call. How it runs is in ``engine.comparison.comparison``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from ...core.arguments import FUNCTION, checked, maybe
from ...core.comparison.board import Board
from ..accepted import keywords_of
from .comparison import Comparison, Wanted
from .turn_scheduler import ComparedStep


@checked(lambda: keywords_of(Comparison.__init__, "keep_results"), on_step=maybe(FUNCTION))
def compare(
    model: nn.Module,
    strategies: Mapping[str, Wanted],
    batches: Iterable[Any],
    *,
    on_step: Callable[[ComparedStep], None] | None = None,
    **given: Any,  # keywords of Comparison
) -> Board:
    """Runs several strategies from the same weights on the same batches, and says which is better, by how much, or that it is
    too close to call.

    Args:
        model: A real model; it is as before afterwards.
        strategies: Name -> what trains.
        batches: Everyone sees the same.
        on_step: Called with each ``ComparedStep``.
        given: As of ``Comparison``: eval_batches, retention_batches, steps, seeds, level, margin, at_once, lr, and burst settings.

    Returns:
        The board: print it, or ``.to_pandas()``, ``.figure()``, ``.places``, ``.front``, ``.difference(a, b)``.

    Raises:
        VlmFreezeError: As of ``Comparison``.
    """
    return Comparison(model, strategies, batches, **{"keep_results": False, **given}).run(on_step)
