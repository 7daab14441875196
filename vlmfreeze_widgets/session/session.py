"""The session: the only owner of a live model. Bursts, probes, loading; always a way back. No Jupyter inside.

Whatever touches the model is put into the worker's inbox and done by it alone. Listeners are told *that* something changed,
never handed the model. Here it is put together: edits of the strategy are in ``desk``, the status in ``phases``, what is done
in ``loading``, ``looking``, ``bursting``, ``saving``, ``staging``, ``comparing`` and ``recording``, the thread in ``worker``.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.cost.assumptions import CostSettings
from ..core.data_origin import DataOrigin
from ..core.history.history import StepRecord
from ..core.recipes.stages import Stages
from ..core.strategy import edits
from ..core.strategy.plan import Plan
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..engine.burst.burst import Burst
from ..engine.burst.result import BurstResult
from ..engine.evidence.answers import Question
from ..engine.model.read import read_tree
from ..engine.settings import BurstSettings
from .comparing import Comparing
from .costs import Costs, Gone, Source
from .handover import rows_of
from .loading import Loading
from .looking import Looking
from .open_sessions import holder_of, note, take_over
from .recording import Recording
from .shown import Change

log = logging.getLogger("vlmfreeze_widgets")


class Session(Loading, Looking, Comparing, Recording):
    """Holds a model, a strategy with its history of edits, and at most one burst at a time.

    One session holds a model: where an older one holds it with batches, and this one is given some, that one is ended and its model
    given back first; ``took_over`` and the status say so.

    Args:
        source: A model to train, or anything that ``read_tree`` reads (then it can only be planned).
        batches: Micro-batches; without them nothing can run. With stages also a mapping from their names.
        strategy: Where to start; by default the projector alone. ``vf.Stages`` are chosen; the first one is the start.
        eval_batches: Held-out micro-batches.
        retention_batches: Text-only micro-batches with labels: how much of other abilities is left.
        questions: Asked before, during and after each burst.
        processor: The model's; reads the answers, and the tokens of a preview.
        settings: Of every burst; the number of steps can be given at each run.
        run_folder: Every burst writes a folder of its own below it as it goes, which ``vf.load_run`` reads; states and results are
            saved there too, when asked. By default what VLMFREEZE_RUNS names; without it bursts write nothing, and what is
            saved goes to "vlmfreeze-runs" here.
        report_to: "trackio", "tensorboard", "wandb", or several: told of every burst.

    Raises:
        VlmFreezeError: The source has no tree, or the strategy does not fit it; an older session goes on then.
        ModelBusy: The step of an older session does not end.

    Attributes:
        took_over: What became of the older session that held the model; None where there was none.
    """

    def __init__(
        self,
        source: Any,  # noqa: ANN401 - whatever read_tree reads
        batches: Iterable[Any] | Mapping[str, Iterable[Any]] | None = None,
        strategy: Strategy | Stages | None = None,
        *,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # noqa: ANN401 - a processor, a tokenizer, or a function from ids to text
        settings: BurstSettings | None = None,
        run_folder: str | Path | None = None,
        report_to: str | Iterable[str] | None = None,
    ) -> None:
        older = holder_of(source) if batches is not None and hasattr(source, "named_parameters") else None
        # While something runs there the model has adapters, perhaps; its own tree is that of the model given back.
        tree = read_tree(source) if older is None else older.tree
        stages, by_stage = (strategy, batches) if isinstance(strategy, Stages) else (None, None)
        if isinstance(by_stage, Mapping):
            batches = next(iter(by_stage.values()), None)
        given = strategy[0].strategy if isinstance(strategy, Stages) else strategy
        wanted = Strategy(given) if isinstance(given, Mapping) else given or edits.default_strategy(tree)
        self.took_over: str | None = None
        is_lost = False
        if older is not None:
            resolve(wanted, tree)  # what does not fit must not end the other
            self.took_over, is_lost = take_over(older)
            tree = read_tree(source)
        model = source if hasattr(source, "named_parameters") and tree.device != "meta" else None
        super().__init__(
            tree,
            wanted,
            model,
            # A config alone has no weights to load; a folder or an id may have.
            source if model is None and _may_have_weights(source) else None,
            batches,
            settings or BurstSettings(),
        )
        self._save_below(run_folder)
        self._open_shelf()
        self.questions = tuple(questions)
        self._processor = processor
        self._watched = {
            "eval_batches": eval_batches, "retention_batches": retention_batches, "questions": self.questions,
            "processor": processor, "report_to": report_to,
        }  # fmt: skip
        if stages is not None:
            self.choose_stages(stages, by_stage if isinstance(by_stage, Mapping) else None)
        # A thread that estimates must not keep alive what nobody else refers to.
        this, planned = weakref.ref(self), None if model is not None else source
        self.costs = Costs(
            lambda: _source_of(this(), planned), lambda: _plan_of(this()), _assumed(self.settings),
            lambda: _told(this()),
        )  # fmt: skip
        if self.took_over is not None:
            self._set(message=self.took_over)
            log.log(logging.WARNING if is_lost else logging.INFO, "%s", self.took_over)
        note(self)

    @property
    def micro_batch_rows(self) -> int | None:
        """Rows of a micro-batch, where the batches tell it without being read."""
        return rows_of(self._batches)

    @property
    def data_origin(self) -> DataOrigin | None:
        """The file or folder that the rows come from; None where they lie in memory, or are anybody's own batches."""
        origin = getattr(self._batches, "origin", None)
        return origin if isinstance(origin, DataOrigin) else None

    def let_go(self, why: str | None = None) -> None:
        """As of any session; what estimates costs is ended, too."""
        self.costs.let_go()
        super().let_go(why)

    def close(self, timeout: float = 30.0) -> bool:
        """Stops what runs, gives the model back and lets go of it; no thread, process or file of the session outlives this.

        Args:
            timeout: Seconds to wait for the step that is being taken.

        Returns:
            False when the time was up first; the step ends, and the model is given back, when it can be.
        """
        self.let_go()
        self.costs.close()
        return super().close(timeout)

    def _make(self, plan: Plan, settings: BurstSettings) -> Burst:
        burst = super()._make(plan, settings)
        if (known := self.costs.view()).status == "ready":
            burst.recording.cost = known.cost
        return burst

    def _over(self, burst: Burst, result: BurstResult) -> None:
        super()._over(burst, result)
        self.costs.burst_ended(self._status.burst, burst.plan, _assumed(burst.settings), result.history)

    def _see(self, record: StepRecord, burst: Burst) -> None:
        if record.memory_bytes is not None:
            with self._lock:
                known = self.costs.known_peak(burst.plan, _assumed(burst.settings))
                self._status = replace(self._status, estimate_bytes=known)
        super()._see(record, burst)

    def _tell(self, change: Change) -> None:
        super()._tell(change)
        if change == "plan":
            self.costs.changed()
        elif change == "tree":
            self.costs.reread()


def _source_of(session: Session | None, planned: Any) -> Source:  # noqa: ANN401 - whatever read_tree reads
    if session is None or session.is_closed:
        raise Gone
    return Source(session.model, planned if session.model is None else None, session._batches, session._worker.post)


def _plan_of(session: Session | None) -> tuple[int, Plan]:
    if session is None:
        raise Gone
    return session.rev, session.plan


def _told(session: Session | None) -> None:
    if session is not None:
        session._tell("cost")


def _assumed(settings: BurstSettings) -> CostSettings:
    """What a burst of these settings means for its cost."""
    return CostSettings(
        precision=settings.precision, checkpointing=bool(settings.checkpointing), optimizer=settings.optimizer,
        accumulation=settings.accumulation,
    )  # fmt: skip


def _may_have_weights(source: object) -> bool:
    return isinstance(source, str | Path) and Path(source).suffix != ".json"
