"""The whole page: map, controls, burst. Everything it knows of a model is its session's.

Long because the Python twin of each button stands here, beside what it shows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.arguments import FLAG, NAME, PATH, RATE, TEXT, checked, maybe, whole
from ..core.comparison.board import Board
from ..core.evidence.probe_report import ProbeReport
from ..core.history.history import History
from ..core.language.phrase import say
from ..core.recipes.stages import Stages
from ..core.strategy.accepted import STRATEGY
from ..core.strategy.strategy import Strategy
from ..core.wire.advice_state import advice_state
from ..core.wire.runs_state import runs_state
from ..core.wire.saved_state import saved_state
from ..core.wire.stages_state import Staged
from ..session import BurstResult, BurstSettings, Question, Session
from . import page_states
from .accepted import CONTENDERS, DTYPE, WORKBENCH, setting_names
from .handlers.compare import compare_page_state
from .handlers.stages import stages_page_state
from .interrupts import watch_interrupts
from .lifetime import kept
from .page import SessionPage
from .page_options import page_options
from .row_feed import RowFeed
from .state_trait import State
from .weakly import weakly

log = logging.getLogger("vlmfreeze_widgets")
UNSEEN = say("Nobody sees this Workbench any more, and no name refers to it.")


class Workbench(SessionPage):
    """See a model, choose what trains, run a burst, in one notebook cell.

    Args:
        model_or_source: A model to train; or a config, a folder or a Hub id, to plan only.
        batches: Micro-batches for the burst; without them nothing can run. With stages also a mapping from their names.
        strategy: Where to start; by default the projector alone. ``vf.Stages`` run one after another, see ``run_stages``.
        lr: Rate of whatever has no rate in the strategy, or in its stage.
        eval_batches: Held-out micro-batches for the dashed loss line.
        retention_batches: Text-only micro-batches with labels, for the dotted line: how much of other abilities is left.
        questions: ``vf.Question`` values whose answers are shown before and while the model trains.
        processor: The model's; reads the answers, and the tokens of the data preview.
        height: Of the map, in CSS pixels.
        theme: "auto" follows the host; or "light", "dark".
        language: "en" or "zh"; "auto" follows the host. By default what VLMFREEZE_LANGUAGE names, else "auto". It can be
            changed on the page.
        tour: Whether a first visit is offered a tour; by default it is, unless VLMFREEZE_TOUR is 0.
        session: An existing session to show, instead of all of the above.
        run_folder: Every burst writes a folder of its own below it as it goes, which ``vf.load_run`` reads; states and results are
            saved there too, when asked. By default what VLMFREEZE_RUNS names; without it bursts write nothing, and what is
            saved goes to "vlmfreeze-runs" here.
        report_to: "trackio", "tensorboard", "wandb", or several: given every burst.
        keep_running: Whether it goes on, and holds its model, when no page shows it and no name refers to it any more, until
            ``close``; ``Workbench.kept()`` lists such. By default a burst without a viewer is stopped.
        **settings: Fields of ``BurstSettings``, such as ``steps=50``.

    Raises:
        VlmFreezeError: The source has no tree, the strategy does not fit it, or the page does not speak the language.

    Examples:
        >>> demo = vf.demo()
        >>> bench = vf.Workbench(demo.model, demo.batches, eval_batches=demo.eval_batches)
        >>> bench
    """

    # The table of traits: what each shows of the session, and when that is out of date.
    run_state = State(lambda s: s.status.to_dict())  # later on with the rows, see _flush
    data_state = State(page_states.data_state, lambda s: s.preview)
    probe_state = State(page_states.probe_state, lambda s: s.probed)
    proof_state = State(page_states.proof_state, lambda s: s.proved)
    saved_state = State(lambda s: saved_state(s.saving), lambda s: s.saving)
    stages_state = State(stages_page_state, lambda s: (s.staged, s.why_no_stage))
    compare_state = State(compare_page_state, lambda s: (s.compared, s.why_no_comparison))
    runs_state = State(lambda s: runs_state(s.run_list), lambda s: s.run_list)
    advice_state = State(lambda s: advice_state(s.advice), lambda s: s.advice)
    load_state = State(page_states.load_state, page_states.is_loadable)
    cost_state = State(page_states.cost_state, page_states.cost_number)

    @checked(setting_names, **WORKBENCH)
    def __init__(
        self,
        model_or_source: Any = None,  # whatever read_tree reads
        batches: Iterable[Any] | Mapping[str, Iterable[Any]] | None = None,
        strategy: Strategy | Stages | Mapping[str, object] | None = None,
        *,
        lr: float | None = None,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # a processor, a tokenizer, or a function from ids to text
        height: int = 430,
        theme: str = "auto",
        language: str | None = None,
        tour: bool | None = None,
        session: Session | None = None,
        run_folder: str | Path | None = None,
        report_to: str | Iterable[str] | None = None,
        keep_running: bool = False,
        **settings: Any,  # fields of BurstSettings
    ) -> None:
        self._owns_session = session is None
        if session is None:
            session = Session(
                model_or_source, batches, strategy, lr=lr, eval_batches=eval_batches, settings=BurstSettings(**settings),
                retention_batches=retention_batches, questions=questions, processor=processor, run_folder=run_folder,
                report_to=report_to,
            )  # fmt: skip
        self._feed = RowFeed(weakly(self.send))
        super().__init__(session, "workbench", page_options(height, theme, language, tour))
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
        """The last burst's result, once it is over; None before.

        Raises:
            BaseException: What ended the burst, where nothing was learnt, as ``Future.result()`` of ``concurrent.futures`` does.
                A burst that ended at a later step has a result, whose ``problem`` says why.
        """
        found, failed = self.session.result, self.session.error
        if found is None and failed is not None and self.session.phase == "failed":
            raise failed
        return found

    @property
    def error(self) -> BaseException | None:
        """What ended the last thing that ran, as it was raised; None where it went well, or nothing ran. It never raises."""
        return self.session.error

    # What the buttons of the page do: asked of the same session, at once; ``wait`` waits.

    @checked(steps=maybe(whole(1, 50)))
    def run(self, steps: int | None = None) -> int:
        """Starts a burst, as the button does; returns at once. ``wait`` waits for it.

        Args:
            steps: Optimizer steps; by default those of the settings.

        Returns:
            The number of the burst.
        """
        return self.session.run(steps)

    @checked(dtype=DTYPE, device=maybe(NAME))
    def load(self, dtype: str = "auto", device: str | None = None) -> None:
        """Starts to bring the weights, as the button does; returns at once. ``wait`` waits for them.

        Args:
            dtype: "auto" (as stored), "bfloat16", "float16", "float32", or "4bit" (QLoRA: the language model in NF4).
            device: Such as "cuda:0"; "auto" spreads over what there is. By default the first GPU, else the CPU.
        """
        self.session.load(dtype, device)

    @checked(open_all=FLAG)
    def probe(self, *, open_all: bool = False) -> None:
        """Starts a probe, as the button does; returns at once. ``wait`` waits for it, ``report`` holds it."""
        self.session.probe(open_all=open_all)

    @checked(timeout=maybe(RATE))
    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until nothing runs, as ``concurrent.futures.wait`` does: it never raises what ended a burst, but logs it.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Returns:
            False when the time was up first. Whether it went well, ``error`` says, and ``result`` raises.
        """
        is_over = self.session.wait(timeout)
        if is_over and (failed := self.session.error) is not None:
            log.warning("What ran has failed, bench.error holds why: %s", failed)
        return is_over

    def stop(self) -> None:
        """Ends the burst between two micro-batches."""
        self.session.stop()

    def keep(self) -> None:
        """Puts the trained values on the model, as the button does."""
        self.session.keep()

    def discard(self) -> None:
        """Lets the trained values go, as the button does."""
        self.session.discard()

    @property
    def stages(self) -> Stages | None:
        """The chosen stages; set ``vf.Stages``, the name of a published recipe, or None."""
        return self.session.stages

    @stages.setter
    def stages(self, stages: Stages | str | None) -> None:
        self.session.choose_stages(stages)

    @property
    def staged(self) -> Staged | None:
        """How far each of the stages is."""
        return self.session.staged

    @checked(only_next=FLAG)
    def run_stages(self, *, only_next: bool = False) -> int:
        """Starts the stages that are not done yet, as the button does; returns at once. ``wait`` waits for them."""
        return self.session.run_stages(only_next=only_next)

    def keep_stages(self) -> None:
        """Leaves the weights of the stages on the model, as the button does."""
        self.session.keep_stages()

    def discard_stages(self) -> None:
        """Gives the model back as it was before the first stage, as the button does."""
        self.session.discard_stages()

    @checked(folder=maybe(PATH))
    def record(self, folder: str | Path | None = "runs") -> None:
        """Writes every burst from the next one on below a folder, as the button does; None: no more. ``vf.runs`` lists them."""
        self.session.record(folder)

    @checked(name=TEXT, strategy=maybe(STRATEGY))
    def add_contender(self, name: str = "", strategy: Strategy | Mapping[str, object] | None = None) -> str:
        """Lets a strategy take part in the comparison, as the button does.

        Args:
            name: For the board; without one it gets the strategy's own, or a short one.
            strategy: What trains; by default the present strategy.

        Returns:
            Its name.
        """
        return self.session.add_contender(name, strategy)

    @checked(strategies=maybe(CONTENDERS), steps=maybe(whole(1, 30)), seeds=maybe(whole(1, 3)))
    def compare(
        self,
        strategies: Mapping[str, Strategy | Mapping[str, object]] | None = None,
        *,
        steps: int | None = None,
        seeds: int | None = None,
    ) -> None:
        """Starts to compare the contenders, as the button does; returns at once. ``wait`` waits for the end, ``board`` has it.

        Args:
            strategies: More contenders by name, added first, all or none; a name that takes part already gets the strategy.
            steps: Of every run.
            seeds: How many runs each takes.
        """
        self.session.add_contenders(strategies or {})
        self.session.set_comparison(steps, seeds)
        self.session.compare()

    @property
    def board(self) -> Board | None:
        """What is known of the contenders; None before the first step."""
        return self.session.board

    @staticmethod
    def kept() -> list[Workbench]:
        """The Workbenches of this process that go on by ``keep_running``: show one again, or ``close`` it."""
        return [widget for widget in kept() if isinstance(widget, Workbench)]

    def close(self) -> None:
        """Stops what runs, restores the model as it was, releases it, and takes the widget off every page.

        What was recorded, such as ``history`` and ``result.verdicts``, can still be read.
        """
        if (session := getattr(self, "session", None)) is not None:
            session.close()
        super().close()

    def __del__(self) -> None:
        """It has no reference and no page shows it: what runs stops after its micro-batch, and the model is restored."""
        session = getattr(self, "session", None)
        if session is not None and self._owns_session:
            session.release(UNSEEN)  # never waits
        super().close()

    def _greeted(self) -> None:
        super()._greeted()
        self.session.costs.start()
        if self.session.run_list.rows is None and Path(self.session.run_list.folder).is_dir():
            self.session.look_for_runs()

    def _snapshot(self, burst: int, first: int) -> None:
        with self._outbox.lock:
            self._feed.rewind(burst, first)

    def _flush(self) -> None:
        if self._lifetime.is_cut_off and self._owns_session:
            self.session.release(UNSEEN)
        super()._flush()
        status, history = self.session.status, self.session.history
        state = status.to_dict()
        quietly = self._feed.feed(
            status.burst, history, status.lr_columns, status.norm_columns, self._words.translated(state), self.tree
        )
        self._words.show("run_state", state, quietly=quietly)
