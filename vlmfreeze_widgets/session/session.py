"""The session: the only owner of a live model. Phases, bursts, probes, loading; always a way back. No Jupyter inside.

Whatever touches the model is put into the worker's inbox and done by it alone. Listeners are told *that* something changed,
never handed the model. Edits of the strategy are in ``desk``, the thread in ``worker``.

Long because the phases guard one state under one lock; apart they would have to share it.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ..core import edits
from ..core.cost_settings import CostSettings
from ..core.errors import VlmFreezeError, WrongPhase
from ..core.history import Answers, History, StepRecord
from ..core.norms import NormLayout
from ..core.plan import Plan
from ..core.ports import port
from ..core.protocol import error_to_dict
from ..core.run_status import BUSY, Phase, RunStatus
from ..core.strategy import Strategy
from ..engine.answers import Question
from ..engine.burst import Burst
from ..engine.probe import probe
from ..engine.read import read_tree
from ..engine.result import BurstResult
from ..engine.settings import BurstSettings
from .costs import Costs, Source
from .desk import Desk
from .shown import Change, Preview, Probed
from .worker import Worker

_PROBED = ("precision", "checkpointing", "accumulation", "max_grad_norm", "seed")  # what a probe shares with the burst
_RECENT = 10  # steps that speed and ETA are taken from


class Session(Desk):
    """Holds a model, a strategy with its history of edits, and at most one burst at a time.

    Args:
        source: A model to train, or anything that ``read_tree`` reads (then it can only be planned).
        batches: Micro-batches; without them nothing can run.
        strategy: Where to start; by default the projector alone.
        eval_batches: Held-out micro-batches.
        retention_batches: Text-only micro-batches with labels: how much of other abilities is left.
        questions: Asked before, during and after each burst.
        processor: The model's; reads the answers, and the tokens of a preview.
        settings: Of every burst; the number of steps can be given at each run.
        lr: Rate of whatever has none in the strategy.

    Raises:
        VlmFreezeError: The source has no tree, or the strategy does not fit it.
    """

    def __init__(
        self,
        source: Any,  # noqa: ANN401 - whatever read_tree reads
        batches: Iterable[Any] | None = None,
        strategy: Strategy | None = None,
        *,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        questions: Iterable[Question] = (),
        processor: Any = None,  # noqa: ANN401 - a processor, a tokenizer, or a function from ids to text
        settings: BurstSettings | None = None,
    ) -> None:
        tree = read_tree(source)
        super().__init__(
            tree, Strategy(strategy) if isinstance(strategy, Mapping) else strategy or edits.default_strategy(tree)
        )
        self._model = source if hasattr(source, "named_parameters") and self.tree.device != "meta" else None
        self._given = source
        # A config alone has no weights to load; a folder or an id may have.
        self._source = source if self._model is None and _may_have_weights(source) else None
        self._batches = batches
        self.questions = tuple(questions)
        self._processor = processor
        self._watched: dict[str, Any] = {
            "eval_batches": eval_batches, "retention_batches": retention_batches, "questions": self.questions,
            "processor": processor,
        }  # fmt: skip
        self.preview: Preview | None = None
        self.settings = settings or BurstSettings()
        self._status = RunStatus(phase=self._rest, default_steps=self.settings.steps)
        self._burst: Burst | None = None
        self.result: BurstResult | None = None
        self.history = History(NormLayout((), (), ()))
        self.probed: Probed | None = None
        self._worker = Worker(self._fail)
        self.costs = Costs(
            lambda: Source(self._model, self._given, self._batches, self._worker.post), lambda: (self.rev, self.plan),
            _assumed(self.settings), lambda: self._tell("cost"),
        )  # fmt: skip
        self.subscribe(self._cost_follows)
        self._stop = threading.Event()
        self._resumed = threading.Event()
        self._resumed.set()

    @property
    def status(self) -> RunStatus:
        """Where the session stands."""
        with self._lock:
            return replace(
                self._status, why_not=self._why_not(), rows=len(self.history), skipped=self.history.skipped,
                can_load=self._source is not None and self._status.phase not in BUSY,
            )  # fmt: skip

    @property
    def phase(self) -> str:
        """The status' phase."""
        return self._status.phase

    # --- running ---------------------------------------------------------------------------------------------------

    @property
    def _can_train(self) -> bool:
        return self._model is not None and self._batches is not None

    @property
    def _rest(self) -> Phase:
        return "idle" if self._can_train else "plan_only"

    def _why_not(self) -> str | None:
        return self._why_idle() or next((f"{w.message} {w.remedy}" for w in self.plan.refusals), None)

    def _why_idle(self) -> str | None:
        if self._model is None:
            return (
                "The weights are not loaded."
                if self._source
                else "There are no weights: this tree was read from a config."
            )
        if self._batches is None:
            return "There are no batches: Workbench(model, batches) can run."
        if self._status.phase in BUSY:
            return (
                "The weights are being loaded."
                if self._status.phase == "loading"
                else "A probe is running."
                if self._status.phase == "probing"
                else "A burst is running."
            )
        return None

    def run(self, steps: int | None = None) -> int:
        """Starts a burst on the worker thread and returns at once. An undecided result before it is discarded.

        Returns:
            The burst's number.

        Raises:
            WrongPhase: Nothing can run now; the message says why.
            VlmFreezeError: The settings cannot be meant.
        """
        settings = self.settings if steps is None else replace(self.settings, steps=steps)
        with self._lock:
            why = self._why_not()
            if why is not None:
                raise WrongPhase(
                    "No burst can start now.",
                    expected="a plan that trains and a free model",
                    found=why,
                    remedy="Change that first.",
                )
            number = self._status.burst + 1
            self._stop.clear()
            self._resumed.set()
            self.result = None
            self.history = History(NormLayout((), (), ()))
            columns = tuple(dict.fromkeys(g.component for g in self.plan.optimizer_groups))
            rates = {g.component: g.lr for g in self.plan.optimizer_groups}
            self._status = RunStatus(
                phase="preparing", burst=number, steps=settings.steps, lr_columns=columns, norm_columns=columns,
                rates=rates, default_steps=settings.steps,
            )  # fmt: skip
            plan = self.plan
            self._worker.post(lambda: self._work(plan, settings))
        self._tell("run")
        return number

    def load(self, dtype: str = "auto", device: str | None = None) -> None:
        """Starts to bring the weights of the source, on the worker thread; the map and the plan stay in use meanwhile.

        Args:
            dtype: "auto" (as stored), "bfloat16", "float16", "float32", or "4bit" (QLoRA: the language model in NF4).
            device: Such as "cuda:0"; "auto" spreads over what there is. By default the first GPU, else the CPU.

        Raises:
            WrongPhase: There is nothing to load, or the session is busy.
        """
        with self._lock:
            if self._source is None or self._status.phase in BUSY:
                raise WrongPhase(
                    "No weights can be loaded now.",
                    expected="a session that was opened on a folder or a Hub id, and is not busy",
                    found=self._status.phase if self._source else "weights that are here already, or a config alone",
                    remedy="Open the folder: Workbench('path/to/model').",
                )
            source = self._source
            self._set(phase="loading", step=0, steps=0, error=None)
            self._worker.post(lambda: self._load(source, dtype, device))

    @property
    def can_preview(self) -> bool:
        """Whether rows of the data can be shown as text."""
        return hasattr(self._batches, "preview") or (self._batches is not None and self._processor is not None)

    def look_at_data(self, first: int = 0, count: int = 4) -> None:
        """Starts to prepare a few rows of the data as the model gets them, on the worker thread; ``preview`` holds them.

        Raises:
            WrongPhase: There are no batches, or nobody who can read their tokens.
        """
        with self._lock:
            readable = self.can_preview
            if not readable or self._status.phase in BUSY:
                raise WrongPhase(
                    "The data cannot be shown now.",
                    expected="batches of vf.load_batches, or batches and processor=..., while nothing runs",
                    found=self._status.phase if readable else "batches whose tokens nobody can read",
                    remedy="Give the processor: Workbench(model, batches, processor=processor).",
                )
            self._worker.post(lambda: self._preview(first, count))

    def probe(self, steps: int = 3, *, open_all: bool = False) -> None:
        """Starts a probe of the present strategy on the worker thread; ``probed`` holds it when it is done.

        A strategy that a burst would refuse is probed all the same: to name the cause is what a probe is for. An undecided
        result stays undecided.

        Args:
            steps: Optimizer steps; the model is as before afterwards.
            open_all: Also ask what gradient the frozen parts would receive.

        Raises:
            WrongPhase: There is nothing to probe, or the model is busy.
        """
        with self._lock:
            why = self._why_idle()
            if why is not None:
                raise WrongPhase(
                    "No probe can start now.",
                    expected="a free model and batches",
                    found=why,
                    remedy="Change that first.",
                )
            plan, rev, phase = self.plan, self.rev, self._status.phase
            self._set(phase="probing", error=None)
            self._worker.post(lambda: self._probe(plan, rev, phase, steps, open_all))

    def pause(self) -> None:
        """Holds the burst after the step that is being taken.

        Raises:
            WrongPhase: No burst is running.
        """
        with self._lock:
            self._expect("running")
            self._resumed.clear()
            self._set(phase="paused")

    def resume(self) -> None:
        """Goes on after a pause.

        Raises:
            WrongPhase: The burst is not paused.
        """
        with self._lock:
            self._expect("paused")
            self._set(phase="running")
            self._resumed.set()

    def stop(self) -> None:
        """Ends the burst between two micro-batches; asking twice, or when nothing runs, does nothing."""
        with self._lock:
            if self._status.phase not in ("preparing", "running", "paused", "stopping"):
                return
            self._stop.set()
            self._resumed.set()
            if self._burst is not None:
                self._burst.stop()
            self._set(phase="stopping")

    def keep(self) -> None:
        """Puts the trained values on the model, LoRA merged, so that the next burst starts from there.

        Raises:
            WrongPhase: There is no undecided result.
        """
        self._decide("kept")

    def discard(self) -> None:
        """Lets the trained values go; the model is as before the burst already.

        Raises:
            WrongPhase: There is no undecided result.
        """
        self._decide("discarded")

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until nothing runs.

        Returns:
            False when the time was up first.
        """
        return self._worker.wait(timeout)

    def close(self) -> None:
        """Stops a burst, gives the model back and ends the worker."""
        self.stop()
        self.costs.close()
        self._worker.close()

    def _work(self, plan: Plan, settings: BurstSettings) -> None:
        assert self._model is not None
        assert self._batches is not None
        burst = Burst(self._model, plan, self._batches, settings=settings, **self._watched)
        with self._lock:
            self._burst = burst
            if self._stop.is_set():
                burst.stop()
        try:
            for record in burst:
                self.history = burst.history
                self._see(record, burst)
                while not self._resumed.wait(0.5):
                    pass
        except VlmFreezeError:
            # Out of memory at step 40, say: what was learnt in 39 steps is still the person's to keep.
            if not burst.history.taken:
                raise
        finally:
            burst.close()
            with self._lock:
                self._burst = None
                self.history = burst.history
        result = burst.result()
        with self._lock:
            self.result = result
            early = (
                f"Ended after {result.history.taken} of {settings.steps} steps: {result.stopped_early}"
                + ("." if not result.stopped_early.endswith(".") else "")
                if result.stopped_early
                else None
            )
            taken = result.history.taken
            self.costs.burst_ended(self._status.burst, plan, _assumed(settings), result.history)
            problem = result.problem
            self._set(
                phase="deciding" if taken else "idle" if problem is None else "failed", verdicts=result.verdicts,
                message=early, verdict_after=taken, eta_seconds=None,
                error=None if problem is None else {**error_to_dict(problem), "traceback": ""},
            )  # fmt: skip

    def _cost_follows(self, change: Change) -> None:
        if change == "plan":
            self.costs.changed()
        elif change == "tree":
            self.costs.reread()

    def _load(self, source: str | Path, dtype: str, device: str | None) -> None:
        began = time.monotonic()

        def told(done: int, total: int) -> None:
            left = (time.monotonic() - began) / done * (total - done) if done else None
            self._set(step=done, steps=total, eta_seconds=left)

        try:
            model = port("weights").load(source, dtype, device=device, on_progress=told)
            tree = read_tree(model, title=self.tree.title)
            self._edits.move_to(tree)
        except Exception as error:
            self._fail(error, "plan_only")
            return
        with self._lock:
            self.tree, self._model, self._source = tree, model, None
        self._tell("tree")
        self._tell("plan")
        self._set(phase=self._rest, step=0, steps=0, eta_seconds=None)

    def _preview(self, first: int, count: int) -> None:
        try:
            batches: Any = self._batches
            if not hasattr(batches, "preview"):
                batches = port("data").load_batches(batches, self._processor)
            rows = batches.preview(first + count)[first:]
            number = self.preview.number + 1 if self.preview else 1
            self.preview = Preview(number, first, rows, str(getattr(batches, "report", "")))
        except Exception as error:
            self._fail(error, self._status.phase)
            return
        self._tell("preview")

    def _probe(self, plan: Plan, rev: int, phase: Phase, steps: int, open_all: bool) -> None:
        assert self._model is not None
        assert self._batches is not None
        settings = {name: getattr(self.settings, name) for name in _PROBED}
        try:
            report = probe(self._model, plan, self._batches, steps=steps, open_all=open_all, **settings)
        except Exception as error:
            self._fail(error, "failed" if phase == "idle" else phase)
            return
        self.probed = Probed(self.probed.number + 1 if self.probed else 1, rev, report)
        self._tell("probe")
        self._set(phase=phase)

    def _see(self, record: StepRecord, burst: Burst) -> None:
        recent = burst.history[-_RECENT:]
        spent = sum(r.seconds for r in recent)
        with self._lock:
            per_step = spent / len(recent)
            changes: dict[str, Any] = {
                "step": record.step,
                "seconds_per_step": per_step,
                "eta_seconds": per_step * (burst.settings.steps - record.step),
                "tokens_per_second": sum(r.input_tokens for r in recent) / spent if spent else None,
                "memory_bytes": record.memory_bytes,
                "rates": record.lr,
                "answers": _answers(burst.history),
            }
            if burst.verdicts and not self._status.verdicts:
                changes |= {"verdicts": burst.verdicts, "verdict_after": record.step}
            if self._status.phase == "preparing":
                changes["phase"] = "running"
            self._status = replace(self._status, **changes)
        self._tell("record")

    def _decide(self, outcome: Literal["kept", "discarded"]) -> None:
        with self._lock:
            self._expect("deciding")
            result = self.result
            assert result is not None
            self._set(phase="restoring")
            self._worker.post(lambda: self._settle(result, outcome))

    def _settle(self, result: BurstResult, outcome: str) -> None:
        if outcome == "kept":
            result.keep(merge=True)
        else:
            result.discard()
        self._set(phase="idle", outcome=outcome)

    def _fail(self, error: BaseException, phase: Phase = "failed") -> None:
        text = "".join(traceback.format_exception(error)) if not isinstance(error, VlmFreezeError) else ""
        # Frames hold tensors; what is shown is text, so let the frames go.
        traceback.clear_frames(error.__traceback__)
        self._set(phase=phase, error={**error_to_dict(error), "traceback": text}, eta_seconds=None)

    def _set(self, **changes: Any) -> None:  # noqa: ANN401 - fields of RunStatus
        with self._lock:
            self._status = replace(self._status, **changes)
        self._tell("run")

    def _expect(self, phase: str) -> None:
        if self._status.phase != phase:
            raise WrongPhase(
                "That is not possible now.",
                expected=f"the phase {phase!r}",
                found=repr(self._status.phase),
                remedy="Look at what the session is doing first.",
            )


def _assumed(settings: BurstSettings) -> CostSettings:
    """What a burst of these settings means for its cost."""
    return CostSettings(
        precision=settings.precision, checkpointing=bool(settings.checkpointing), optimizer=settings.optimizer,
        accumulation=settings.accumulation,
    )  # fmt: skip


def _may_have_weights(source: object) -> bool:
    return isinstance(source, str | Path) and Path(source).suffix != ".json"


def _answers(history: History) -> tuple[Answers, Answers] | None:
    return (history.answers[0], history.answers[-1]) if history.answers else None
