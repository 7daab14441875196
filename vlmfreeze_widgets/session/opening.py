"""What a session is opened on: the tree, the model or where its weights lie, the batches, the strategy or the stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.arguments import BATCHES
from ..core.recipes.stages import Stages
from ..core.strategy import edits
from ..core.strategy.general_rate import with_general_rate
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from ..engine.model.read import read_tree
from .open_sessions import holder_of, take_over


@dataclass(frozen=True)
class Opening:
    """Where one session starts.

    Attributes:
        tree: Of the model.
        strategy: At the start.
        model: A model with weights; None for planning alone.
        source: A folder or an id that may have weights to load; None where there are none.
        planned: What the tree was read from, where there is no model; None otherwise.
        batches: Micro-batches; None where nothing can run.
        stages: To be chosen at once; None where none were given.
        stage_batches: By stage name; None where all share ``batches``.
        took_over: What became of an older session that held the model; None where there was none.
        is_lost: Whether something was lost by that.
    """

    tree: ModuleTree
    strategy: Strategy
    model: Any
    source: str | Path | None
    planned: Any
    batches: Iterable[Any] | None
    stages: Stages | None
    stage_batches: Mapping[str, Iterable[Any]] | None
    took_over: str | None
    is_lost: bool


def open_source(
    source: Any,  # whatever read_tree reads
    batches: Iterable[Any] | Mapping[str, Iterable[Any]] | None,
    strategy: Strategy | Stages | Mapping[str, object] | None,
    lr: float | None = None,
) -> Opening:
    """Reads the tree; ends an older session that holds the model, where this one is given batches.

    Raises:
        VlmFreezeError: The source has no tree, or the strategy does not fit it; an older session goes on then.
        ModelBusy: The step of an older session does not end.
    """
    if isinstance(batches, Mapping) and not isinstance(strategy, Stages):
        BATCHES.check("Workbench", "batches", batches)
    if isinstance(strategy, Stages) and lr is not None:
        strategy = strategy.with_general_rate(lr)
    older = holder_of(source) if batches is not None and hasattr(source, "named_parameters") else None
    # While something runs there the model has adapters, perhaps; its own tree is that of the model restored.
    tree = read_tree(source) if older is None else older.tree
    stages, by_stage = (strategy, batches) if isinstance(strategy, Stages) else (None, None)
    if isinstance(by_stage, Mapping):
        batches = next(iter(by_stage.values()), None)
    given = strategy[0].strategy if isinstance(strategy, Stages) else strategy
    wanted = with_general_rate(
        edits.default_strategy(tree) if given is None else given, None if stages is not None else lr
    )
    took_over, is_lost = None, False
    if older is not None:
        resolve(wanted, tree)  # what does not fit must not end the other
        took_over, is_lost = take_over(older)
        tree = read_tree(source)
    model = source if hasattr(source, "named_parameters") and tree.device != "meta" else None
    return Opening(
        tree=tree,
        strategy=wanted,
        model=model,
        # A config alone has no weights to load; a folder or an id may have.
        source=source if model is None and _may_have_weights(source) else None,
        planned=source if model is None else None,
        batches=batches,
        stages=stages,
        stage_batches=by_stage if isinstance(by_stage, Mapping) else None,
        took_over=took_over,
        is_lost=is_lost,
    )


def _may_have_weights(source: object) -> bool:
    return isinstance(source, str | Path) and Path(source).suffix != ".json"
