"""The session: the only owner of a live model. Bursts, probes, loading; always a way back. No Jupyter inside.

A session is put together of parts, one object per job, over one ``session.context``; none inherits from another. Whatever touches
the model is put into the worker's inbox and done by it alone. Listeners learn *that* something changed, never the model.

Long because each public name of a session stands here once, as a delegate of one line; what it does and raises is said there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.arguments import BATCHES_BY_STAGE, FLAG, RATE, checked, maybe, whole
from ..core.comparison.board import Board
from ..core.data_origin import DataOrigin
from ..core.errors import InvalidStrategy
from ..core.former_names import FormerName
from ..core.history.history import History
from ..core.language.phrase import say
from ..core.memory_advice import MemoryAdvice
from ..core.recipes.curricula import Curriculum
from ..core.recipes.stages import STRATEGY_OR_STAGES, Stages
from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from ..core.wire.compare_state import Compared
from ..core.wire.load_state import LoadChoices
from ..core.wire.run_state import BUSY, RunStatus
from ..core.wire.runs_state import RunList
from ..core.wire.saved_state import Saving
from ..core.wire.stages_state import Staged
from ..engine.accepted import WATCHED
from ..engine.burst.result import BurstResult
from ..engine.comparison.comparison import Comparison
from ..engine.evidence.answers import Question
from ..engine.settings import SETTINGS, BurstSettings
from .burst_costs import BurstCosts, costs_of
from .burst_decision import BurstDecision
from .burst_runner import BurstRunner
from .checkpoints import Checkpoints
from .comparison_runner import ComparisonRunner
from .contenders import Contenders
from .context import SessionContext
from .handover import Handover, rows_of
from .loading import Loading
from .open_sessions import note
from .opening import open_source
from .probing import Probing
from .run_browser import RUNS, RunBrowser
from .shown import Change, Preview, Probed, Proved
from .stage_list import StageList
from .stage_runner import StageRunner
from .stages_decision import StagesDecision
from .strategy_editor import StrategyEditor

log = logging.getLogger("vlmfreeze_widgets")


class Session:
    """Holds a model, a strategy with its history of edits, and at most one burst at a time.

    One session holds a model: where an older one holds it with batches, and this one is given some, that one is ended and its model
    restored first; ``took_over`` and the status say so.

    Args:
        source: A model to train, or anything that ``read_tree`` reads (then it can only be planned).
        batches: Micro-batches; without them nothing can run. With stages also a mapping from their names.
        strategy: Where to start; by default the projector alone. ``vf.Stages`` are chosen; the first one is the start.
        lr: Rate of whatever has no rate in the strategy, or in its stage.
        eval_batches: Held-out micro-batches.
        retention_batches: Text-only micro-batches with labels: how much of other abilities is left.
        questions: ExportRequest before, during and after each burst.
        processor: The model's; reads the answers, and the tokens of a preview.
        settings: Of every burst; the number of steps can be given at each run.
        run_folder: Every burst writes a folder of its own below it as it goes, which ``vf.load_run`` reads; states and results are
            saved there too, when asked. By default what VLMFREEZE_RUNS names; without it bursts write nothing, and what is
            saved goes to "vlmfreeze-runs" here.
        report_to: "trackio", "tensorboard", "wandb", or several: given every burst.

    Raises:
        VlmFreezeError: The source has no tree, or the strategy does not fit it; an older session goes on then.
        ModelBusy: The step of an older session does not end.

    Attributes:
        took_over: What became of the older session that held the model; None where there was none.
        questions: As given.
        handover: Imports and exports of the strategy.
        costs: What the strategy would cost.
    """

    @checked(
        batches=maybe(BATCHES_BY_STAGE),
        strategy=maybe(STRATEGY_OR_STAGES),
        lr=maybe(RATE).raising(InvalidStrategy),
        settings=SETTINGS,
        **WATCHED,
    )
    def __init__(
        self,
        source: Any,  # whatever read_tree reads
        batches: Iterable[Any] | Mapping[str, Iterable[Any]] | None = None,
        strategy: Strategy | Stages | Mapping[str, object] | None = None,
        *,
        lr: float | None = None,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # a processor, a tokenizer, or a function from ids to text
        settings: BurstSettings | None = None,
        run_folder: str | Path | None = None,
        report_to: str | Iterable[str] | None = None,
    ) -> None:
        opening = open_source(source, batches, strategy, lr)
        self.took_over = opening.took_over
        self.questions = tuple(questions)
        inputs = {
            "eval_batches": eval_batches, "retention_batches": retention_batches, "questions": self.questions,
            "processor": processor, "report_to": report_to,
        }  # fmt: skip
        self._context = context = SessionContext(
            opening.tree, opening.model, opening.source, opening.batches, settings or BurstSettings(), inputs
        )
        self._editor = editor = StrategyEditor(context, opening.strategy)
        self._loading = Loading(context, editor)
        self._probing = Probing(context, editor, processor)
        self._decision = decision = BurstDecision(context)
        self._bursts = bursts = BurstRunner(context, editor, decision)
        self._checkpoints = Checkpoints(context, editor, bursts, decision, run_folder)
        self._stages = StageList(context, editor)
        self._stages_decision = StagesDecision(context, editor, decision, self._stages)
        self._stage_runner = StageRunner(context, editor, bursts, decision, self._stages, self._stages_decision)
        self._runs = RunBrowser(context, editor, self._checkpoints)
        self._contenders = Contenders(context, editor)
        self._comparisons = ComparisonRunner(context, self._contenders, self._stages.feed)
        self.handover = Handover(editor)
        self.costs = costs_of(context, editor, opening.planned)
        parts = (self._checkpoints, self._runs, BurstCosts(context, self.costs), self._stage_runner)
        bursts.hooks = decision.hooks = tuple(part.hooks for part in parts)
        if opening.stages is not None:
            self.choose_stages(opening.stages, opening.stage_batches)
        if self.took_over is not None:
            context.set(message=self.took_over)
            log.log(logging.WARNING if opening.is_lost else logging.INFO, "%s", self.took_over)
        note(self)

    # The whole of it.

    @property
    def status(self) -> RunStatus:
        """Where the session stands."""
        context, history = self._context, self.history
        with context.lock:
            obstacle, status = self._bursts.obstacle(), context.status
            return replace(
                status, why_not=obstacle.sentence if obstacle else None, rows=len(history), skipped=history.skipped,
                can_load=context.source is not None and status.phase not in BUSY,
            )  # fmt: skip

    @property
    def phase(self) -> str:
        """The phase of ``status``."""
        return self._context.status.phase

    @property
    def tree(self) -> ModuleTree:
        """The module tree of the model."""
        return self._context.tree

    @property
    def model(self) -> Any:  # nn.Module
        """The model that is here; None where there is none, or after the end."""
        return self._context.model

    @property
    def trains(self) -> Any:  # nn.Module
        """The model that it may change; None where it can only be planned."""
        return self._context.model if self._context.batches is not None else None

    @property
    def settings(self) -> BurstSettings:
        """The settings of every burst from the next one on."""
        return self._context.settings

    @settings.setter
    def settings(self, settings: BurstSettings) -> None:
        self._context.settings = settings

    @property
    def micro_batch_rows(self) -> int | None:
        """Rows of a micro-batch, where the batches tell it without being read."""
        return rows_of(self._context.batches)

    @property
    def data_origin(self) -> DataOrigin | None:
        """The file or folder that the rows come from; None where they lie in memory, or are anybody's own batches."""
        origin = getattr(self._context.batches, "origin", None)
        return origin if isinstance(origin, DataOrigin) else None

    @property
    def error(self) -> BaseException | None:
        """What ended the last thing that ran (a burst, a probe, a comparison, stages, loading), as it was raised; None where it
        went well, or nothing ran. That of a burst which had learnt something is its result's ``problem`` too.
        """
        return self._context.error

    def subscribe(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Calls ``listener`` with the name of what changed (a ``Change``) after each change, on the thread that made it.

        Returns:
            A function that ends the subscription.
        """
        return self._context.subscribe(listener)

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until nothing runs; False when the time, in seconds, was up first. How it went, ``error`` says."""
        return self._context.worker.wait(timeout)

    def stop(self) -> None:
        """Ends the burst or the comparison that runs, between two micro-batches; when nothing runs, does nothing."""
        with self._context.lock:
            if not self._comparisons.stop():
                self._bursts.stop()

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended: it holds no model, and nothing can start."""
        return self._context.end_reason is not None

    def release(self, why: str | None = None) -> None:
        """Ends the session without waiting: what runs stops between two micro-batches, the model is restored as it was before,
        and nothing of it is held any more. It never waits; ``close`` does.

        Args:
            why: The message for later calls.
        """
        self.costs.release()
        self._runs.end()
        if not self._context.is_here:
            return
        self.stop()
        with self._context.lock:
            if self._context.end_reason is not None:
                return
            self._context.end_reason = why or say("This session was closed.")
        self._context.worker.end(self._release)

    def close(self, timeout: float = 30.0) -> bool:
        """Stops what runs, restores and releases the model; no thread, process or file of the session outlives this. What
        was recorded can still be read.

        Args:
            timeout: Seconds to wait for the step that is being taken.

        Returns:
            False when the time was up first; the step ends, and the model is restored, when it can be.
        """
        self.release()
        self.costs.close()
        ended = not self._context.is_here or self._context.worker.close(timeout)
        return self._runs.close(timeout) and ended

    def _release(self) -> None:
        """The last job of the worker: drops the model and all that leads to it."""
        self._probing.release()
        self._contenders.comparison = None
        try:
            self._stages_decision.release()
        finally:
            self._bursts.release()
            self._decision.release()
            self._context.release()

    # The strategy: ``StrategyEditor``.

    @property
    def strategy(self) -> Strategy:
        """The present strategy. Setting it is one undoable edit."""
        return self._editor.strategy

    @strategy.setter
    def strategy(self, strategy: Strategy) -> None:
        self._editor.set_strategy(strategy)

    @property
    def plan(self) -> Plan:
        """The plan of the strategy."""
        return self._editor.plan

    @property
    def rev(self) -> int:
        """The revision: grows with every change of the strategy."""
        return self._editor.rev

    @property
    def can_undo(self) -> bool:
        """Whether there is an edit to undo."""
        return self._editor.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone edit to redo."""
        return self._editor.can_redo

    def edit(self, change: Callable[[Strategy, ModuleTree], Strategy]) -> int:
        """Makes one undoable edit and returns the new revision; see ``StrategyEditor.edit``."""
        return self._editor.edit(change)

    def set_strategy(self, strategy: Strategy) -> int:
        """Replaces the strategy and returns the new revision; see ``StrategyEditor.set_strategy``."""
        return self._editor.set_strategy(strategy)

    def set_tuning(self, targets: Iterable[str], tuning: str) -> int:
        """Sets components or paths to "frozen", "lora", "full" or "inherit"; see ``StrategyEditor.set_tuning``."""
        return self._editor.set_tuning(targets, tuning)

    def undo(self) -> int:
        """Undoes the last edit; see ``StrategyEditor.undo``."""
        return self._editor.undo()

    def redo(self) -> int:
        """Makes the last undone edit again; see ``StrategyEditor.redo``."""
        return self._editor.redo()

    def reset(self) -> int:
        """Goes back to the strategy at the start, as an undoable edit; see ``StrategyEditor.reset``."""
        return self._editor.reset()

    # Weights, a probe, rows of the data: ``Loading``, ``Probing``.

    @property
    def load_choices(self) -> LoadChoices | None:
        """How the weights could be loaded on this machine; None where there are none to load."""
        return self._loading.choices

    def load(self, dtype: str = "auto", device: str | None = None) -> None:
        """Starts to load the weights of the source; see ``Loading.load``."""
        self._loading.load(dtype, device)

    @property
    def probed(self) -> Probed | None:
        """The last probe; None before."""
        return self._probing.probed

    @checked(steps=whole(1, 3), open_all=FLAG)
    def probe(self, steps: int = 3, *, open_all: bool = False) -> None:
        """Starts a probe of the present strategy; see ``Probing.probe``."""
        self._probing.probe(steps, open_all=open_all)

    @property
    def can_preview(self) -> bool:
        """Whether rows of the data can be shown as text."""
        return self._probing.can_preview

    @property
    def preview(self) -> Preview | None:
        """The last rows of the data that were asked for; None before."""
        return self._probing.preview

    def look_at_data(self, first: int = 0, count: int = 4) -> None:
        """Starts to prepare a few rows of the data as the model gets them; see ``Probing.look_at_data``."""
        self._probing.look_at_data(first, count)

    # Bursts: ``BurstRunner``, ``BurstDecision``.

    @property
    def history(self) -> History:
        """The records of the present burst."""
        return self._bursts.history

    @history.setter
    def history(self, history: History) -> None:
        self._bursts.history = history

    @property
    def advice(self) -> MemoryAdvice | None:
        """What was seen to run after memory ran out in the last burst; None when it did not."""
        return self._bursts.advice

    def run(self, steps: int | None = None) -> int:
        """Starts a burst and returns its number at once; see ``BurstRunner.run``."""
        return self._bursts.run(steps)

    def run_smaller(self) -> int:
        """Runs again as ``advice`` says, the burst or the stage; see ``BurstRunner.run_smaller``, ``StageRunner.run_smaller``."""
        with self._context.lock:
            runner = self._stage_runner if self._stage_runner.lacks_memory else self._bursts
            return runner.run_smaller()

    def pause(self) -> None:
        """Holds the burst after the step that is being taken; see ``BurstRunner.pause``."""
        self._bursts.pause()

    def resume(self) -> None:
        """Goes on after a pause; see ``BurstRunner.resume``."""
        self._bursts.resume()

    @property
    def result(self) -> BurstResult | None:
        """The last burst's, once it is over."""
        return self._decision.result

    @property
    def proved(self) -> Proved | None:
        """Its proof, and after a discard that of the model restored."""
        return self._decision.proved

    def keep(self) -> None:
        """Puts the trained values on the model; see ``BurstDecision.keep``."""
        self._decision.keep()

    def discard(self) -> None:
        """Drops the trained values; see ``BurstDecision.discard``."""
        self._decision.discard()

    # Checkpoints and recorded runs: ``Checkpoints``, ``RunBrowser``.

    @property
    def saving(self) -> Saving:
        """What was written, and what can be resumed."""
        return self._checkpoints.saving

    @property
    def recorded(self) -> Path | None:
        """The run folder of the last burst; None where none is written."""
        return self._checkpoints.recorded

    def save(self) -> None:
        """Saves the state of the burst or its result; see ``Checkpoints.save``."""
        self._checkpoints.save()

    def look_for_states(self) -> None:
        """Starts to read which saved states there are; see ``Checkpoints.look_for_states``."""
        self._checkpoints.look_for_states()

    def resume_from(self, name: str, steps: int | None = None) -> int:
        """Starts a burst that goes on where a state was saved; see ``Checkpoints.resume_from``."""
        return self._checkpoints.resume_from(name, steps)

    @property
    def run_list(self) -> RunList:
        """The runs of the folder, as far as they were asked for."""
        return self._runs.run_list

    def record(self, folder: str | Path | None = RUNS) -> None:
        """Writes every burst from the next one on below a folder, or none any more; see ``RunBrowser.record``."""
        self._runs.record(folder)

    def record_here(self, folder: str) -> None:
        """As ``record``, below the working folder only; see ``RunBrowser.record_here``."""
        self._runs.record_here(folder)

    def look_for_runs(self) -> None:
        """Starts to read the runs of the folder; see ``RunBrowser.look_for_runs``."""
        self._runs.look_for_runs()

    def open_run(self, name: str) -> None:
        """Starts to read one run; see ``RunBrowser.open_run``."""
        self._runs.open_run(name)

    def compare_runs(self, name: str, other: str) -> None:
        """Starts to read two runs; see ``RunBrowser.compare_runs``."""
        self._runs.compare_runs(name, other)

    def take_strategy(self, name: str) -> None:
        """The strategy of the run that is open becomes that of this session; see ``RunBrowser.take_strategy``."""
        self._runs.take_strategy(name)

    def report_run(self, name: str, write: Callable[[Path, Path], Path]) -> None:
        """Starts to write a report of a run; see ``RunBrowser.report_run``."""
        self._runs.report_run(name, write)

    def wait_for_runs(self, timeout: float | None = None) -> bool:
        """Blocks until what was asked of the runs is read; see ``RunBrowser.wait_for_runs``."""
        return self._runs.wait_for_runs(timeout)

    # Stages: ``StageList``, ``StageRunner``, ``StagesDecision``.

    @property
    def stages(self) -> Stages | None:
        """The chosen stages; None while none are."""
        return self._stages.chosen

    @property
    def staged(self) -> Staged | None:
        """The chosen stages and how far each is; None while none are chosen."""
        return self._stages.staged

    @property
    def stage_histories(self) -> dict[str, History]:
        """Name of a stage -> the records of its last burst."""
        return self._stages.histories

    @property
    def curricula(self) -> tuple[Curriculum, ...]:
        """Published recipes of several stages that fit the model."""
        return self._stages.curricula

    @property
    def why_no_stage(self) -> str | None:
        """Why no stage can start now; None where one can."""
        return self._context.why_not()

    def choose_stages(self, stages: Stages | str | None, batches: Mapping[str, Iterable[Any]] | None = None) -> None:
        """Takes stages to run; nothing runs yet; see ``StageList.choose``."""
        self._stages.choose(stages, batches)

    def add_stage(self, name: str) -> None:
        """Appends the present strategy as a stage; see ``StageList.add``."""
        self._stages.add(name)

    def set_stage_steps(self, name: str, steps: int) -> None:
        """Says how many steps a stage takes; see ``StageList.set_steps``."""
        self._stages.set_steps(name, steps)

    @checked(only_next=FLAG)
    def run_stages(self, *, only_next: bool = False) -> int:
        """Starts the stages that are not done yet; see ``StageRunner.run``."""
        return self._stage_runner.run(only_next=only_next)

    def keep_stages(self) -> None:
        """Leaves the weights of the stages on the model; see ``StagesDecision.keep``."""
        self._stages_decision.keep()

    def discard_stages(self) -> None:
        """Gives the model back as before the first stage; see ``StagesDecision.discard``."""
        self._stages_decision.discard()

    # Comparison: ``Contenders``, ``ComparisonRunner``.

    @property
    def compared(self) -> Compared:
        """The contenders, and what is known of them."""
        return self._contenders.compared

    @property
    def comparison(self) -> Comparison | None:
        """The comparison that runs, or ran last."""
        return self._contenders.comparison

    @property
    def board(self) -> Board | None:
        """What is known of the contenders."""
        return self._contenders.board

    @property
    def watches(self) -> bool:
        """Whether there are held-out batches to judge by."""
        return self._contenders.watches

    @property
    def why_no_comparison(self) -> str | None:
        """Why no comparison can start now; None where one can."""
        return self._context.why_not()

    def add_contender(self, name: str = "", strategy: Strategy | Mapping[str, Any] | None = None) -> str:
        """Lets a strategy take part, by default the present one, and returns its name; see ``Contenders.add``."""
        return self._contenders.add(name, strategy)

    def add_contenders(self, strategies: Mapping[str, Strategy | Mapping[str, Any]]) -> None:
        """Lets several take part, all or none; see ``Contenders.add_all``."""
        self._contenders.add_all(strategies)

    def add_corners(self) -> int:
        """Adds every choice of frozen, full and LoRA per main component; see ``Contenders.add_corners``."""
        return self._contenders.add_corners()

    def remove_contender(self, name: str) -> None:
        """Takes a contender off the list; see ``Contenders.remove``."""
        self._contenders.remove(name)

    def clone_contender(self, name: str, new: str = "", *, factor: float = 1.0) -> str:
        """Lets a copy of a running contender go on from where it is; see ``Contenders.clone``."""
        return self._contenders.clone(name, new, factor=factor)

    def set_comparison(self, steps: int | None = None, seeds: int | None = None) -> None:
        """Says how long and how often each runs; see ``Contenders.set_length``."""
        self._contenders.set_length(steps, seeds)

    def load_contender(self, name: str) -> int:
        """Makes a contender's strategy the present one; see ``Contenders.load``."""
        return self._contenders.load(name)

    def compare(self) -> None:
        """Starts the comparison; see ``ComparisonRunner.run``."""
        self._comparisons.run()

    def pause_comparing(self) -> None:
        """Holds the comparison after the step that is being taken; see ``ComparisonRunner.pause``."""
        self._comparisons.pause()

    def resume_comparing(self) -> None:
        """Goes on after a pause; see ``ComparisonRunner.resume``."""
        self._comparisons.resume()

    shelf, let_go = FormerName("run_list"), FormerName("release")
    go_on_comparing = FormerName("resume_comparing")
