"""What the strategy of a session would cost, kept up to date while it is edited: at once by arithmetic on the plan, a moment later
by a trace that another process makes and that is kept. Nothing starts before the first view (``start``).

Long because one thread takes turns at estimate, largest batch, switches and comparison, and drops all of it when the plan changes.
"""

from __future__ import annotations

import copy
import statistics
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ..core.cost.assumptions import CostSettings
from ..core.cost.estimate import CostEstimate
from ..core.cost.gpus import Device, usable_bytes
from ..core.cost.largest_batch import Peaks, largest_rows
from ..core.cost.static_memory import standing_cost
from ..core.cost.view import Comparison, CostView, Status, SwitchEffect, peak_on
from ..core.history.history import History
from ..core.shorten import shorten
from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..engine.cost.alternatives import Choice, cost_choices, switched
from ..engine.model.skeleton import device_of, on_cpu, skeleton
from .cost_process import CostProcess, NoEstimate
from .cost_server import Question, Subject

IDLE_SECONDS = 120.0  # without a question the process ends; what it found is kept here
_LAST_SECONDS = 30.0
_KEPT = 256
PLANNED_ON = "A100 80GB"
"""The GPU that is meant at first where there is neither a model nor a GPU."""

_SETTLE = 0.05  # of a row of quick edits only the last is traced


@dataclass(frozen=True)
class Source:
    """What a session has that can be estimated.

    Attributes:
        model: With weights; None where there are none.
        source: What the tree was read from.
        batches: Micro-batches, or None.
        at_rest: Runs a function on the thread that owns the model, when it is at rest.
    """

    model: nn.Module | None
    source: Any
    batches: Iterable[Any] | None
    at_rest: Callable[[Callable[[], None]], object]


_Key = tuple[Any, ...]


class _Superseded(Exception):  # noqa: N818 - nothing went wrong
    """The request is outdated by now."""


class Gone(_Superseded):
    """The session whose costs these are is gone."""


class Costs:
    """The costs of one session's strategy.

    Args:
        source: Gives what there is now; asked again when weights were loaded.
        plan: Gives the present plan and its revision.
        settings: What is assumed at first.
        tell: Called when there is something new to look at, on any thread.
        own_process: Whether traces are made in a process of their own.
    """

    def __init__(
        self,
        source: Callable[[], Source],
        plan: Callable[[], tuple[int, Plan]],
        settings: CostSettings,
        tell: Callable[[], None],
        own_process: bool = True,
    ) -> None:
        self._source = source
        self._plan = plan
        self._tell_all = tell
        self._own_process = own_process
        self.settings = self._of_run = settings
        self.number = 0
        self.started = False
        self._wake = threading.Condition()
        self._wanted = 0
        self._thread: threading.Thread | None = None
        self._process: CostProcess | None = None
        self._closed = False
        self._here: Device | None = None
        self._has_model = self._has_batch = False
        self._found: OrderedDict[Any, CostEstimate | str] = OrderedDict()
        self._largest: OrderedDict[Any, tuple[int, bool]] = OrderedDict()
        self._switches: OrderedDict[Any, tuple[SwitchEffect, ...]] = OrderedDict()
        self._bursts: list[tuple[int, Plan, CostSettings, History]] = []
        self._speed: float | None = None
        self._comparison: Comparison | None = None

    def start(self) -> None:
        """Begins to estimate, at the first view. Asking twice does nothing."""
        if not self.started:
            self.started = True
            self._look()
            self.changed()

    def change(self, change: Mapping[str, Any]) -> None:
        """Assumes something else.

        Raises:
            InvalidStrategy: An unknown name, or a value that cannot be meant.
        """
        self.settings = self.settings.changed(change)
        self.started = True
        self.changed()

    def changed(self) -> None:
        """The plan or the settings are others now."""
        if not self.started or self._closed:
            return
        with self._wake:
            self._wanted += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="vlmfreeze-cost", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        self._notify()

    def reread(self) -> None:
        """The model is another now: weights were loaded."""
        with self._wake:
            self._drop()
            self._found.clear()
            self._largest.clear()
            self._switches.clear()
        if self.started:
            self._look()
        self.changed()

    def burst_ended(self, number: int, plan: Plan, settings: CostSettings, history: History) -> None:
        """Compares a burst with its estimate, and learns the speed of this machine from it."""
        if history.taken:
            self._bursts.append((number, plan, settings, history))
            self.changed()

    def release(self) -> None:
        """Ends the process, also one that is starting; the thread ends soon after. Returns at once."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._drop()

    def close(self) -> None:
        """Ends thread and process; where there is no process, waits for the trace that is being made."""
        self.release()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # An interpreter that ends while torch traces on a thread aborts.
            thread.join(_LAST_SECONDS)

    def view(self) -> CostView:
        """What is known now; never waits."""
        rev, plan = self._plan()
        settings = self.settings
        place = self._place_key(plan, settings)
        found = self._found.get(self._key(plan, settings))
        status: Status = "refused" if plan.refusals else "estimating" if found is None else "bound"
        if isinstance(found, CostEstimate):
            status = "bound" if found.is_bound else "ready"
        cost = found if isinstance(found, CostEstimate) else self._standing(plan, settings)
        return CostView(
            rev=rev,
            status=status,
            settings=settings,
            cost=cost,
            here=self._here,
            can_be_here=self._has_model or self._here is not None,
            has_batch=self._has_batch,
            largest=self._largest.get(place),
            switches=self._switches.get(place),
            seconds_per_flop=self._speed,
            comparison=self._comparison,
            problem=found if isinstance(found, str) else "",
            of_run=self._of_run if self._has_model else None,
        )

    def assumptions(self) -> dict[str, Any]:
        """The present settings as an estimate keeps them, with the kind of device; at once, on any thread."""
        if not self.started:
            self._look()
        return _how(self.settings, self._here)

    def known_peak(self, plan: Plan, settings: CostSettings) -> int | None:
        """Bytes at the worst moment of a burst of these settings, where that was estimated already; at once, on any thread."""
        found = self._found.get(self._key(plan, settings))
        return found.peak_bytes if isinstance(found, CostEstimate) and not found.is_bound else None

    # --- the thread ------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        done = 0
        while True:
            with self._wake:
                if self._wanted == done and not self._closed and not self._wake.wait(IDLE_SECONDS):
                    self._drop()
                if self._closed or self._wanted == done:
                    self._thread = None
                    return
                self._wake.wait_for(lambda: self._closed, _SETTLE)
                done = self._wanted
            try:
                self._estimate(done)
            except Gone:
                self.release()
            except _Superseded:
                continue
            except Exception as error:  # the thread must outlive any failure, and the user must see it
                rev_plan = self._plan()[1]
                self._keep(
                    self._found, self._key(rev_plan, self.settings), shorten(f"{type(error).__name__}: {error}", 300)
                )
                self._notify()

    def _estimate(self, turn: int) -> None:
        _, plan = self._plan()
        settings = self.settings
        if plan.refusals:
            self._compare(turn)
            return
        key = self._place_key(plan, settings)
        now = self._ask(plan.strategy, plan, settings, turn)
        self._notify()
        self._compare(turn)
        if isinstance(now, str) or now.is_bound:
            return
        if key not in self._largest and (device := settings.gpu or self._here) is not None:
            peaks = Peaks(lambda rows: self._peak(plan, replace(settings, rows=rows), turn))
            found = largest_rows(peaks, usable_bytes(device.memory_bytes))
            self._keep(self._largest, key, found)
            self._notify()
        if key not in self._switches:
            effects = [
                e for c in cost_choices(plan, _how(settings, self._here)) if (e := self._effect(c, now, settings, turn))
            ]
            self._keep(self._switches, key, tuple(sorted(effects, key=lambda e: -e.saved_bytes)))
            self._notify()

    def _ask(self, strategy: Strategy, plan: Plan, settings: CostSettings, turn: int) -> CostEstimate | str:
        key = self._key(plan, settings)
        known = self._found.get(key)
        if known is not None:
            self._found.move_to_end(key)
            return known
        if turn != self._wanted or self._closed:
            raise _Superseded
        process = self._process or self._begin(turn)
        try:
            found: CostEstimate | str = process.ask(
                Question(
                    strategy,
                    settings.rows,
                    settings.is_typical,
                    _how(settings, self._here),
                )
            )
        except NoEstimate as error:
            if process is not self._process:
                raise _Superseded from error  # it was ended on purpose
            found = error.found
        self._keep(self._found, key, found)
        return found

    def _peak(self, plan: Plan, settings: CostSettings, turn: int) -> int | None:
        found = self._ask(plan.strategy, plan, settings, turn)
        if isinstance(found, str):
            raise NoEstimate("The largest batch is not known.", expected="an estimate", found=found, remedy="")
        return None if found.is_bound else peak_on(found, settings)

    def _effect(self, choice: Choice, now: CostEstimate, settings: CostSettings, turn: int) -> SwitchEffect | None:
        if choice.plan.refusals:
            return None
        other_settings = settings.changed(choice.change)
        other = self._ask(choice.plan.strategy, choice.plan, other_settings, turn)
        if isinstance(other, str) or other.is_bound:
            return None
        device = settings.gpu or self._here
        saved = peak_on(now, settings) - peak_on(other, other_settings)
        if device is not None and device.bandwidth:
            ratio, unit = other.time_on(device).seconds / max(now.time_on(device).seconds, 1e-12), "time"
        else:
            ratio, unit = switched(choice, now, other).flops_ratio, "operations"
        return SwitchEffect(choice.name, choice.label, saved, ratio, unit)

    def _compare(self, turn: int) -> None:
        while self._bursts:
            number, plan, settings, history = self._bursts[0]
            found = self._ask(plan.strategy, plan, settings, turn)
            self._bursts.pop(0)
            records = list(history)[1:] or list(history)
            spent = statistics.median(r.seconds for r in records)
            traced = isinstance(found, CostEstimate) and not found.is_bound
            flops = found.flops.total * settings.accumulation if isinstance(found, CostEstimate) else 0
            self._comparison = Comparison(
                number,
                found.peak_bytes if isinstance(found, CostEstimate) and traced else None,
                records[-1].memory_bytes,
                flops * self._speed if self._speed is not None and flops else None,
                spent,
            )
            if flops:
                self._speed = spent / flops
            self._notify()

    def _begin(self, turn: int) -> CostProcess:
        source = self._source()
        _, plan = self._plan()
        made: list[tuple[Any, Mapping[str, Any] | None]] = []
        failed: list[Exception] = []
        ready = threading.Event()

        def copied() -> None:
            try:
                if self._closed:
                    return
                made.append(
                    (skeleton(source.model) if source.model is not None else source.source, _first(source.batches))
                )
            except Exception as error:  # on the session's worker, to which this is no failure
                failed.append(error)
            finally:
                ready.set()

        if source.model is None:
            copied()
        else:
            source.at_rest(copied)
        while not ready.wait(0.2):
            if turn != self._wanted or self._closed:
                raise _Superseded
        if failed:
            raise failed[0]
        if not made:
            raise _Superseded
        given, batch = made[0]
        self._has_batch = batch is not None
        is_model = isinstance(given, nn.Module)
        with self._wake:
            if self._closed:
                raise _Superseded
            # Known before it starts, which takes seconds: whoever closes meanwhile ends it.
            self._process = process = CostProcess(
                Subject(given, is_model, plan.tree, batch), self._own_process, start=False
            )
        process.start()
        return process

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.close()

    # --- what is asked ---------------------------------------------------------------------------------------------

    def _look(self) -> None:
        try:
            source = self._source()
        except Gone:
            return  # a page may ask once more while its session is being closed: what was known stays
        self._has_model = source.model is not None
        self._has_batch = source.batches is not None and self._has_model
        self._here = device_of(source.model)
        if not self._has_model and self._here is None and self.settings.gpu is None:
            self.settings = replace(self.settings, device=PLANNED_ON)

    def _standing(self, plan: Plan, settings: CostSettings) -> CostEstimate:
        how = {**_how(settings, self._here), "dtype": plan.tree.dtype}
        return standing_cost(plan, how, None, settings.rows or 1, ())

    def _key(self, plan: Plan, settings: CostSettings) -> _Key:
        # Rates decide nothing; where something trains does.
        trains = hash((plan.trainable, tuple(sorted(plan.lora_targets.items(), key=lambda item: item[0]))))
        return (
            trains,
            settings.is_typical,
            settings.rows,
            tuple(_how(settings, self._here).items()),
        )

    def _place_key(self, plan: Plan, settings: CostSettings) -> _Key:
        return self._key(plan, settings), settings.device, settings.gpus, settings.scheme if settings.gpus > 1 else ""

    def _keep(self, kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
        kept[key] = value
        while len(kept) > _KEPT:
            kept.popitem(last=False)

    def _notify(self) -> None:
        self.number += 1
        self._tell_all()


def _how(settings: CostSettings, here: Device | None) -> dict[str, Any]:
    on_gpu = settings.gpu is not None or here is not None
    return {
        "picture_size": settings.picture,
        "text_tokens": settings.text,
        "precision": settings.precision,
        "checkpointing": settings.checkpointing,
        "optimizer": settings.optimizer,
        "accumulation": settings.accumulation,
        "loss_positions": settings.loss_positions,
        "device": "cuda" if on_gpu else "cpu",
    }


def _first(batches: Iterable[Any] | None) -> dict[str, Any] | None:
    """The first batch of those that can be looked at without using one up; None otherwise."""
    if batches is None or isinstance(batches, Iterator):
        return None
    with torch.random.fork_rng(devices=[]):
        first = next((batch for batch in batches if batch is not None), None)
    return copy.copy(on_cpu(first)) if isinstance(first, Mapping) else None
