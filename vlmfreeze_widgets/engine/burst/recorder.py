"""A burst written down as it goes: its run folder, and the trackers that were asked for. Reading a folder is ``engine.runs.load``.

The first line is written before the first step, so a failure to write is reported then. After that nothing here ends a burst:
where the disk is full or a tracker fails, the burst goes on and its history says from where on something is missing.

Long because the folder and the trackers follow the same events, and one of them may fail without the other.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from weakref import ref

from ...core.cost.estimate import CostEstimate
from ...core.cost.static_memory import standing_cost
from ...core.errors import CannotSave, VlmFreezeError
from ...core.evidence.verdict import Verdict
from ...core.history.run_metadata import KIND, RunAbout
from ...core.shorten import shorten
from ...core.strategy.text import sentence
from ...core.wire.plan_state import plan_state
from ...core.wire.tree_state import tree_state
from ..batches.data_fingerprint import first_step, words
from ..batches.micro_batch import MicroBatch
from ..runs.atomic_folder import Writer, write_folder
from ..runs.run_folder import ABOUT, FROZEN, MAP, RunFolder
from ..runs.trackers import Tracker, numbers_of
from ..runs.versions import versions

if TYPE_CHECKING:
    from .loop import BurstLoop
    from .training_run import TrainingRun

ENVIRONMENT = "VLMFREEZE_RUNS"
"""The variable that names the folder of all runs where ``run_folder`` is not given."""

RunFolderChoice = str | Path | Literal[False] | None


class Recording:
    """Writes one burst down.

    Args:
        loop: Of the burst; its plan, history and verdicts are read as they come. It is not kept alive: a burst without a reference
            any more ends at once, not at the next garbage collection.
        folder: Below which the run gets a folder of its own; None: what the environment names, or nowhere; False: nowhere.
        trackers: They get each step as well.

    Attributes:
        folder: The run's own, once it has begun; None where nothing is written.
        cost: The estimate, where more is known than what follows from the plan alone.
        is_lost: Whether writing was given up.
        is_strict: Whether a folder that cannot be made is an error, rather than a note of the history.
    """

    def __init__(self, loop: BurstLoop, folder: RunFolderChoice, trackers: Iterable[Tracker] = ()) -> None:
        if folder is None:
            folder = os.environ.get(ENVIRONMENT) or False
        self._burst_loop = ref(loop)
        self._parent = None if folder is False else Path(folder)
        self._trackers = list(trackers)
        self._writer: RunFolder | None = None
        self._records = self._answers = 0
        self._verdicts: tuple[Verdict, ...] = ()
        self._words = ""
        self._fingerprint: dict[str, object] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self.folder: Path | None = None
        self.cost: CostEstimate | None = None
        self.is_lost = False
        self.is_strict = True

    @property
    def _loop(self) -> BurstLoop:
        loop = self._burst_loop()
        assert loop is not None  # it calls this, and nobody else does
        return loop

    @property
    def is_on(self) -> bool:
        """Whether anything is asked for."""
        return self._parent is not None or bool(self._trackers)

    def begin(self, run: TrainingRun) -> None:
        """Makes the folder, whole or not at all.

        Raises:
            CannotSave: The disk refuses.
        """
        if not self.is_on:
            return
        about = self._about(run)
        if self._parent is not None:
            try:
                self._make_folder(self._parent, about, run)
            except CannotSave as error:
                if self.is_strict:
                    raise
                self.is_lost = True
                self._loop.history.notes.append(f"No run folder is written: {error.found}")
        for tracker in list(self._trackers):
            self._call_tracker(tracker, partial(tracker.begin, about))
        self._unsubscribe = self._loop.history.subscribe(self._see)
        self._see()

    def _make_folder(self, parent: Path, about: RunAbout, run: TrainingRun) -> None:
        began = RunFolder(parent, self._loop.settings.steps).state
        about_text = json.dumps({**about.to_dict(), "process": began.to_dict()}, indent=1)
        trains = self._loop.plan.trainable
        frozen = {name: digest for name, digest in run.witness.start_digests().items() if name not in trains}
        files: dict[str, Writer] = {
            ABOUT: lambda path: path.write_bytes(about_text.encode()),
            FROZEN: lambda path: path.write_bytes(json.dumps(frozen, indent=0).encode()),
            MAP: lambda path: path.write_bytes(json.dumps(_map_of(self._loop)).encode()),
        }
        self.folder = write_folder(parent, about.name, files, {"kind": KIND})
        self._writer = RunFolder(self.folder, self._loop.settings.steps)
        self._writer.begin(self._loop.history)
        self._writer.show(phase="running")

    def saw(self, batches: Sequence[MicroBatch]) -> None:
        """Takes note of what the next step reads."""
        if self._writer is None:
            return
        self._words = words(batches)
        if self._fingerprint is None:
            self._fingerprint = first_step(batches)
            self._write(lambda writer: writer.tell("data", self._fingerprint or {}))

    def end(self, *, broken: bool) -> None:
        """Writes how it ended.

        Args:
            broken: Whether an error ended it.
        """
        self._unsubscribe()
        if not self.is_on:
            return
        self._see()
        loop = self._loop
        failed = broken or loop.problem is not None
        stopped = loop.history.taken < loop.settings.steps and loop.stopped_early in (None, "stopped", "interrupted")
        phase = "failed" if failed else "stopped" if stopped else "finished"
        message = loop.stopped_early
        shown = None if loop.problem is None else loop.problem.to_dict()

        def last(writer: RunFolder) -> None:
            if loop.proof is not None:
                # The digests of before lie in a file of their own.
                writer.tell("proof", {k: v for k, v in loop.proof.to_dict().items() if k != "digests"})
            writer.end(loop.history, phase, message)
            writer.show(phase=phase, step=len(loop.history), message=message, error=shown)

        self._write(last)
        for tracker in list(self._trackers):
            self._call_tracker(tracker, partial(tracker.end, phase, loop.verdicts))
        self._trackers = []

    def failed(self, error: VlmFreezeError) -> None:
        """What a user sees of a failure is known only after the end: memory that ran out, a lost device."""
        self._write(lambda writer: writer.show(phase="failed", message=error.problem, error=error.to_dict()))

    def _see(self) -> None:
        """Writes what is new since the last look. On the thread that appends."""
        history = self._loop.history
        for answers in history.answers[self._answers :]:
            self._answers += 1
            self._write(
                partial(RunFolder.tell, kind="answers", data={"step": answers.step, "texts": list(answers.texts)})
            )
        for record in history[self._records :]:
            self._records += 1
            self._write(partial(RunFolder.add, record=record, words=self._words))
            values = numbers_of(record) if self._trackers else {}
            for tracker in list(self._trackers):
                self._call_tracker(tracker, partial(tracker.log, record.step, values))
        if self._loop.verdicts and self._loop.verdicts is not self._verdicts:
            self._verdicts = self._loop.verdicts
            judged = {"step": len(history), "verdicts": [verdict.to_dict() for verdict in self._verdicts]}
            self._write(lambda writer: writer.tell("verdicts", judged))

    def _write(self, what: Callable[[RunFolder], None]) -> None:
        if self._writer is None or self.is_lost:
            return
        try:
            what(self._writer)
        except VlmFreezeError as error:
            self.is_lost = True
            self._loop.history.notes.append(f"The run folder is incomplete from step {self._records} on: {error.found}")
            self._writer.close()

    def _call_tracker(self, tracker: Tracker, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception as error:  # a stranger's code, perhaps of a server that does not answer
            self._trackers.remove(tracker)
            reason = shorten(f"{type(error).__name__}: {error}", 200)
            self._loop.history.notes.append(f"{tracker.name} was told nothing from step {self._records} on: {reason}")

    def _about(self, run: TrainingRun) -> RunAbout:
        loop, plan = self._loop, self._loop.plan
        cost = (self.cost or standing_cost(plan, _how(loop), None, 1, ())).to_dict()
        cost.pop("by_module")
        identity = hashlib.sha256(json.dumps(sorted(run.witness.start_digests().items())).encode()).hexdigest()
        return RunAbout(
            name=time.strftime("run-%Y%m%d-%H%M%S"),
            began=time.time(),
            sentence=sentence(plan),
            strategy=loop.history.strategy,
            settings=loop.history.settings,
            model={
                "title": plan.tree.title, "class": type(loop.model).__name__, "dtype": plan.tree.dtype,
                "device": str(run.device), "total_params": plan.total_params, "trainable_params": plan.trainable_params,
                "adapter_params": plan.adapter_params, "identity": identity,
            },
            versions=versions(run.device),
            cost=_plain(cost),
            resumed_at=len(loop.history) or None,
        )  # fmt: skip


def _how(loop: BurstLoop) -> dict[str, Any]:
    """The settings on which a burst's cost rests, as an estimate keeps them."""
    settings = loop.settings
    return {
        "precision": settings.precision, "optimizer": settings.optimizer, "checkpointing": bool(settings.checkpointing),
        "accumulation": settings.accumulation, "device": next(loop.model.parameters()).device.type,
        "dtype": loop.plan.tree.dtype,
    }  # fmt: skip


def _map_of(loop: BurstLoop) -> dict[str, Any]:
    """What a page draws of tree and plan; bytes as base64."""
    states = {"tree_state": tree_state(loop.plan.tree)}
    states["plan_state"] = plan_state(loop.plan, 1, can_undo=False, can_redo=False, settings=_how(loop))
    return {name: _plain(state) for name, state in states.items()}


def _plain(value: Any) -> Any:  # JSON but for bytes and numbers that are not finite
    if isinstance(value, bytes):
        return {"base64": b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
