"""The whole page: map, controls, burst. Everything it knows of a model is its session's.

Long because the Python twin of each button stands here, beside what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.evidence.probe_report import ProbeReport
from ..core.history.history import History
from ..core.language.phrase import say
from ..core.recipes.stages import Stages
from ..core.strategy.strategy import Strategy
from ..core.wire.advice_state import advice_state
from ..core.wire.cost_state import cost_state
from ..core.wire.data_state import data_state
from ..core.wire.load_state import load_state
from ..core.wire.probe_state import probe_state
from ..core.wire.proof_state import proof_state
from ..core.wire.runs_state import runs_state
from ..core.wire.saved_state import saved_state
from ..session import BurstResult, BurstSettings, Proved, Question, Session
from .buttons import Buttons
from .compare_grants import compare_page_state
from .interrupts import watch_interrupts
from .lifetime import kept
from .page import SessionPage
from .page_options import page_options
from .row_feed import RowFeed
from .stages_grants import stages_page_state
from .state_trait import State
from .weakly import weakly

UNSEEN = say("Nobody sees this Workbench any more, and no name refers to it.")


class Workbench(Buttons, SessionPage):
    """See a model, choose what trains, run a burst, in one notebook cell.

    Args:
        model_or_source: A model to train; or a config, a folder or a Hub id, to plan only.
        batches: Micro-batches for the burst; without them nothing can run. With stages also a mapping from their names.
        strategy: Where to start; by default the projector alone. ``vf.Stages`` run one after another, see ``run_stages``.
        eval_batches: Held-out micro-batches for the dashed loss line.
        retention_batches: Text-only micro-batches with labels, for the dotted line: how much of other abilities is left.
        questions: ``vf.Question`` values whose answers are shown before and while the model trains.
        processor: The model's; reads the answers, and the tokens of the data preview.
        height: Of the map, in CSS pixels.
        theme: "auto" follows the host; or "light", "dark".
        language: "en" or "zh"; "auto" follows the host. By default what VLMFREEZE_LANGUAGE names, else "auto". Whoever looks at
            the page can change it there.
        tour: Whether a first visit is offered a tour; by default it is, unless VLMFREEZE_TOUR is 0.
        session: An existing session to show, instead of all of the above.
        run_folder: Every burst writes a folder of its own below it as it goes, which ``vf.load_run`` reads; states and results are
            saved there too, when asked. By default what VLMFREEZE_RUNS names; without it bursts write nothing, and what is
            saved goes to "vlmfreeze-runs" here.
        report_to: "trackio", "tensorboard", "wandb", or several: told of every burst.
        keep_running: Whether it goes on, and holds its model, when no page shows it and no name refers to it any more, until
            ``close``; ``Workbench.kept()`` lists such. By default a burst that nobody can see or stop is stopped.
        **settings: Fields of ``BurstSettings``, such as ``steps=50``.

    Raises:
        VlmFreezeError: The source has no tree, the strategy does not fit it, or the page does not speak the language.

    Examples:
        >>> demo = vf.demo()
        >>> bench = vf.Workbench(demo.model, demo.batches, eval_batches=demo.eval_batches)
        >>> bench
    """

    run_state = State()
    probe_state = State()
    data_state = State()
    proof_state = State()
    saved_state = State()
    advice_state = State()
    load_state = State()
    cost_state = State()
    stages_state = State()
    compare_state = State()
    runs_state = State()

    def __init__(
        self,
        model_or_source: Any = None,  # noqa: ANN401 - whatever read_tree reads
        batches: Iterable[Any] | Mapping[str, Iterable[Any]] | None = None,
        strategy: Strategy | Stages | Mapping[str, object] | None = None,
        *,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # noqa: ANN401 - a processor, a tokenizer, or a function from ids to text
        height: int = 430,
        theme: str = "auto",
        language: str | None = None,
        tour: bool | None = None,
        session: Session | None = None,
        run_folder: str | Path | None = None,
        report_to: str | Iterable[str] | None = None,
        keep_running: bool = False,
        **settings: Any,  # noqa: ANN401 - fields of BurstSettings
    ) -> None:
        self._owns_session = session is None
        if session is None:
            if strategy is not None and not isinstance(strategy, Strategy | Stages):
                strategy = Strategy(strategy)
            session = Session(
                model_or_source, batches, strategy, eval_batches=eval_batches, settings=BurstSettings(**settings),
                retention_batches=retention_batches, questions=questions, processor=processor, run_folder=run_folder,
                report_to=report_to,
            )  # fmt: skip
        self._feed = RowFeed(weakly(self.send))
        self._shown_proof: Proved | None = None
        self._shown_saving = session.saving
        self._shown_stages = session.staged, session.why_no_stage
        self._shown_compared = session.compared, session.why_no_comparison
        self._shown_shelf = session.shelf
        super().__init__(
            session,
            "workbench",
            page_options(height, theme, language, tour),
            run_state=session.status.to_dict(),
            data_state=_data_state(session),
            saved_state=saved_state(session.saving),
            load_state=load_state(session.load_choices),
            stages_state=stages_page_state(session),
            compare_state=compare_page_state(session),
            runs_state=runs_state(session.shelf),
        )
        if len(session.history):
            self._outbox.touch()
        watch_interrupts()
        if keep_running:
            self._lifetime.keep()

    @property
    def history(self) -> History:
        """The records of the present burst."""
        return self.session.history

    @property
    def report(self) -> ProbeReport | None:
        """What the last probe found."""
        return self.session.probed.report if self.session.probed else None

    @property
    def result(self) -> BurstResult | None:
        """The last burst's result, once it is over."""
        return self.session.result

    @staticmethod
    def kept() -> list[Workbench]:
        """The Workbenches of this process that go on by ``keep_running``: show one again, or ``close`` it."""
        return [widget for widget in kept() if isinstance(widget, Workbench)]

    def close(self) -> None:
        """Stops what runs, gives the model back as it was, lets go of it, and takes the widget off every page.

        What was recorded, such as ``history`` and ``result.verdicts``, can still be read.
        """
        if (session := getattr(self, "session", None)) is not None:
            session.close()
        super().close()

    def __del__(self) -> None:
        """Nobody refers to it and no page shows it: what runs stops after its micro-batch, and the model is given back."""
        session = getattr(self, "session", None)
        if session is not None and self._owns_session:
            session.let_go(UNSEEN)  # never waits
        super().close()

    def _greeted(self) -> None:
        super()._greeted()
        self.session.costs.start()
        if self.session.shelf.rows is None and Path(self.session.shelf.folder).is_dir():
            self.session.look_for_runs()

    def _snapshot(self, burst: int, first: int) -> None:
        with self._outbox.lock:
            self._feed.rewind(burst, first)

    def _flush(self) -> None:
        if self._lifetime.is_cut_off and self._owns_session:
            self.session.let_go(UNSEEN)
        super()._flush()
        status = self.session.status
        history = self.session.history
        preview = self.session.preview
        shown = self.data_state["preview"]
        if preview is not None and (shown is None or preview.number != shown["number"]):
            self._words.show("data_state", _data_state(self.session))
        probed = self.session.probed
        if probed is not None and probed.number != self.probe_state.get("probe"):
            found = probe_state(probed.report, probed.number, probed.rev, self.tree)
            self._words.show("probe_state", found)
        if self.session.proved is not self._shown_proof:
            self._shown_proof = proved = self.session.proved
            found = proof_state(proved.burst, proved.proof, proved.restored) if proved else {}
            self._words.show("proof_state", found)
        if self.session.saving is not self._shown_saving:
            self._shown_saving = self.session.saving
            self._words.show("saved_state", saved_state(self._shown_saving))
        stages = self.session.staged, self.session.why_no_stage
        if stages[0] is not self._shown_stages[0] or stages[1] != self._shown_stages[1]:
            self._shown_stages = stages
            self._words.show("stages_state", stages_page_state(self.session))
        compared = self.session.compared, self.session.why_no_comparison
        if compared[0] is not self._shown_compared[0] or compared[1] != self._shown_compared[1]:
            self._shown_compared = compared
            self._words.show("compare_state", compare_page_state(self.session))
        if self.session.shelf is not self._shown_shelf:
            self._shown_shelf = self.session.shelf
            self._words.show("runs_state", runs_state(self._shown_shelf))
        self._words.show("advice_state", advice_state(self.session.advice))
        if self.load_state and not status.can_load and status.phase != "loading":
            self._words.show("load_state", {})
        costs = self.session.costs
        if costs.started and costs.number != self.cost_state.get("number"):
            number = costs.number
            self._words.show("cost_state", cost_state(costs.view(), self.session.plan, number))
        state = status.to_dict()
        told = self._feed.feed(
            status.burst, history, status.lr_columns, status.norm_columns, self._words.said(state), self.tree
        )
        self._words.show("run_state", state, quietly=told)


def _data_state(session: Session) -> dict[str, Any]:
    from ..adapters import pillow_thumbnails

    return data_state(
        session.questions,
        session.preview,
        pillow_thumbnails.png,
        can_preview=session.can_preview,
    )
