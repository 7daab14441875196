"""Several strategies from the same start on the same batches, taking turns on one model, so that the comparison starts at once.

A contender is a burst that is suspended between its turns (``Burst.suspend``), bit for bit: who else takes part, and in which
order, changes no number of anybody. What was found is a ``core.comparison.board.Board``.

Long because the contract of a comparison that runs, with all that can be asked of it on the way, stands in one place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ...core.arguments import (
    BATCHES,
    FLAG,
    FUNCTION,
    HELD_OUT,
    NAME,
    Kind,
    checked,
    found_for,
    is_whole,
    maybe,
    share,
    whole,
)
from ...core.comparison.board import Board
from ...core.errors import InvalidStrategy, WrongPhase, did_you_mean
from ...core.language.phrase import say
from ...core.strategy.accepted import STRATEGY_OR_PLAN
from ...core.strategy.general_rate import with_general_rate
from ...core.strategy.plan import Plan
from ...core.strategy.resolve import resolve
from ...core.strategy.strategy import Strategy
from ..accepted import MODEL, burst_settings
from ..batches.shared_order import SameBatches, in_parts
from ..burst.burst import Burst
from ..burst.result import BurstResult
from ..model.ownership import check_free
from ..model.read import read_tree
from ..model.wrappers import unwrap
from ..settings import BurstSettings
from .contender import Contender
from .turn_scheduler import ComparedStep, TurnScheduler

Wanted = Strategy | Plan | Mapping[str, object]
_CONTENDERS = Kind(
    "a mapping of names to strategies, with at least one in it",
    lambda value: (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and name and STRATEGY_OR_PLAN.fits(one) for name, one in value.items())
    ),
    "Write, for example, {{'projector': vf.Strategy({{'projector': 'full'}}), 'both': ...}}.",
    error=InvalidStrategy,
    problem="There is nothing to compare.",
)
_SEEDS = Kind(
    "how many, a whole number of at least 1, or a list of such numbers of at least 0",
    lambda value: (
        is_whole(value, 1) or (isinstance(value, Sequence) and bool(value) and all(is_whole(s, 0) for s in value))
    ),
    "Write, for example, seeds=3 or seeds=[0, 1, 2].",
    error=InvalidStrategy,
)


class Comparison:
    """A comparison that runs: an iterator of ``ComparedStep``, which can be stopped, cloned and added to on the way.

    Args:
        model: As of a burst; it is as before between two turns, and at the end.
        strategies: Name -> what trains.
        batches: As of a burst; everyone sees the same, in an order that the seed draws.
        eval_batches: Held out. Without them the training loss of the last third of the steps is compared.
        retention_batches: Text alone: what was forgotten.
        steps: Of every run.
        seeds: How many, or which ones. With one there is no telling how another run would have ended.
        level: All intervals hold together with this probability.
        margin: Share of the loss; a smaller difference is never called.
        at_once: How many take turns at a time; None: all. Each holds its optimizer's state on the device, and what it trains in
            host memory.
        turn: Steps that one takes before the next has the model; None: as many as keep the changing of places below a tenth of the
            time, 10 at most. No number depends on it; a request takes effect between two turns.
        keep_results: Whether the trained values of everyone's first seed stay in host memory, for ``results``.
        lr: Rate of whatever has no rate in a contender's strategy.
        settings: Of every burst: fields of ``BurstSettings``.

    Raises:
        VlmFreezeError: Before anything runs: a strategy that cannot be applied, fewer than one, a busy model.

    Examples:
        >>> running = vf.Comparison(model, {"projector": a, "both": b}, batches, eval_batches=held_out, steps=50, seeds=3)
        >>> for step in running:
        ...     if step.record.loss > 5:
        ...         running.stop(step.name)
        >>> print(running.board())
    """

    @checked(
        burst_settings,
        model=MODEL,
        strategies=_CONTENDERS,
        batches=BATCHES,
        eval_batches=HELD_OUT,
        retention_batches=HELD_OUT,
        steps=whole(1, 50).raising(InvalidStrategy),
        seeds=_SEEDS,
        level=share(0.95).raising(InvalidStrategy),
        margin=share(0.01, zero=True).raising(InvalidStrategy),
        at_once=maybe(whole(1, 4)).raising(InvalidStrategy),
        turn=maybe(whole(1, 10)).raising(InvalidStrategy),
        keep_results=FLAG,
    )
    def __init__(
        self,
        model: nn.Module,
        strategies: Mapping[str, Wanted],
        batches: Iterable[Any],
        *,
        eval_batches: Iterable[Any] | None = None,
        retention_batches: Iterable[Any] | None = None,
        steps: int = 50,
        seeds: int | Sequence[int] = 3,
        level: float = 0.95,
        margin: float = 0.01,
        at_once: int | None = None,
        turn: int | None = None,
        keep_results: bool = True,
        lr: float | None = None,
        **settings: Any,  # fields of BurstSettings
    ) -> None:
        self.model = unwrap(model)
        check_free(self.model)
        self.seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds))
        self.settings = BurstSettings(**{"on_out_of_memory": "tell", **settings, "steps": steps})
        self._tree = read_tree(self.model)
        self._keeps = keep_results
        self._contenders = {
            name: Contender(name, self._plan(with_general_rate(wanted, lr)), keeps=keep_results)
            for name, wanted in strategies.items()
        }
        self._batches = SameBatches(batches, steps * self.settings.accumulation)
        self._eval = None if eval_batches is None else in_parts(eval_batches)
        self._retention = None if retention_batches is None else list(retention_batches)
        self._level, self._margin, self._at_once = level, margin, at_once
        self._device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        self._scheduler = TurnScheduler(self._contenders, self._begin, steps, turn, self._device)
        self._over = False
        self._door = threading.Lock()
        self._steps: Generator[ComparedStep, None, None] = self._run()

    def __iter__(self) -> Iterator[ComparedStep]:
        return self

    def __next__(self) -> ComparedStep:
        return next(self._steps)

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all runs where they are and restores the model."""
        self._steps.close()
        self._over = True

    @checked(on_step=maybe(FUNCTION))
    def run(self, on_step: Callable[[ComparedStep], None] | None = None) -> Board:
        """Takes all remaining steps.

        Args:
            on_step: Called with each.

        Returns:
            The board; the model is as before.
        """
        try:
            for step in self:
                if on_step is not None:
                    on_step(step)
        finally:
            self.close()
        return self.board()

    def stop(self, name: str | None = None) -> None:
        """Takes a contender out of the race, or ends all of it; from any thread. What it had reached stays on the board.

        Raises:
            InvalidStrategy: No such contender.
        """
        if name is None:
            self._scheduler.stop = True
            for contender in tuple(self._contenders.values()):
                # ExportRequest once: its run may end on its own thread meanwhile.
                if (burst := contender.burst) is not None:
                    burst.stop()
            return
        self._named(name).stopped = True

    @checked(strategy=STRATEGY_OR_PLAN)
    def add(self, name: str, strategy: Wanted) -> None:
        """Adds a contender: from the start weights, on the batches of the others, in the present seed and all later ones.

        Args:
            name: Of the new contender.
            strategy: What it trains.

        Raises:
            VlmFreezeError: The name is taken, the strategy cannot be applied, or the comparison is over.
        """
        joined = Contender(name, self._plan(strategy), keeps=self._keeps)
        self._let_in(joined, lambda seed: self._scheduler.join_late(joined, seed))

    def clone(self, name: str, new: str, *, lr: Mapping[str, float] | float | None = None) -> None:
        """Lets a copy of a contender go on from where it is now, at other rates: weights, optimizer and place in the data alike.

        It is made before the next turn; in later seeds after the same step.

        Args:
            name: Of whom.
            new: Name of the copy.
            lr: As of a strategy; what is not named goes on as it was. None: all does.

        Raises:
            InvalidStrategy: No such contender, the name is taken, or a rate cannot be meant. To train other tensors, ``add`` a
                strategy: it begins at the start.
            WrongPhase: The contender is not running.
        """
        self._check_new(new)
        parent = self._named(name)
        at = parent.steps
        if at == 0:
            raise WrongPhase(
                f"{name} cannot be cloned now.",
                expected="a contender that has taken a step of its present run",
                found="one that has not begun, or is over",
                remedy="Clone it while it runs; to start anew, add a strategy.",
            )
        before = parent.plan.strategy
        rates = {"": lr} if isinstance(lr, int | float) else dict(lr or {})
        # One rate for all replaces every single one.
        kept = {} if isinstance(lr, int | float) else dict(before.lr)
        plan = self._plan(Strategy(before.rules, {**kept, **rates}, before.weight_decay, before.name))
        if [g.params for g in plan.optimizer_groups] != [g.params for g in parent.plan.optimizer_groups]:
            raise _bad(
                "lr", "rates for the same groups of tensors", f"another grouping than that of {name}",
                "Give rates for the parts that have one there, or add a strategy, which begins at the start.",
            )  # fmt: skip
        copy = Contender(new, plan, (name, at), keeps=self._keeps)
        self._let_in(copy, lambda seed: self._scheduler.branch_now(copy, seed))

    @property
    def results(self) -> dict[str, BurstResult]:
        """Name -> the burst's result of the first seed, where it is over: ``.keep()`` puts its weights on the model."""
        return {name: c.result for name, c in tuple(self._contenders.items()) if c.result is not None}

    def board(self) -> Board:
        """What is known now."""
        entries = tuple(c.entry(self._eval is None) for c in tuple(self._contenders.values()))
        notes: list[str] = []
        if len(self.seeds) == 1:
            notes.append(say("One seed: the intervals do not know how another run would have ended."))
        elif all(len({run.losses for run in e.runs}) == 1 and len(e.runs) > 1 for e in entries):
            notes.append(
                say("All seeds gave the same run: neither the order of the batches nor anything else was drawn.")
            )
        if self._eval is None:
            notes.append(say("Nothing is held out: the training loss of the last third of the steps is compared."))
        entries = tuple(replace(e, note=e.note[:400]) for e in entries)
        parts = max((len(look) for e in entries for r in e.runs for look in r.looks.values()), default=0)
        weights = self._scheduler.weights or (1.0,) * parts
        measured = "training loss" if self._eval is None else "held-out loss"
        return Board(entries, weights, measured, self._level, self._margin, tuple(notes))

    def __repr__(self) -> str:
        return str(self.board())

    def _repr_html_(self) -> str:
        return self.board()._repr_html_()

    def _run(self) -> Generator[ComparedStep, None, None]:
        try:
            for seed in self.seeds:
                waiting = [c for c in tuple(self._contenders.values()) if not c.is_out and c.origin is None]
                size = self._at_once or max(1, len(waiting))
                for start in range(0, len(waiting), size):
                    # Who asked to join may have been let in by then.
                    group = [c for c in waiting[start : start + size] if not c.has_begun(seed)]
                    yield from self._scheduler.run(group, seed)
                    if self._scheduler.stop:
                        return
                self._estimate_memory()
                while self._expects_contenders(is_last=seed == self.seeds[-1]):
                    yield from self._scheduler.run((), seed)
                    if self._scheduler.stop:
                        return
                    self._estimate_memory()
        finally:
            self._over = True
            for contender in tuple(self._contenders.values()):
                contender.cut_short()
                contender.stopped = contender.stopped or not any(map(contender.has_begun, self.seeds))

    def _let_in(self, contender: Contender, request: Callable[[int], None]) -> None:
        with self._door:
            self._check_new(contender.name)
            self._contenders[contender.name] = contender
            self._scheduler.request(request)

    def _expects_contenders(self, *, is_last: bool) -> bool:
        """Whether a contender waits to join after the last turn of a seed; after the last seed none can join any more."""
        with self._door:
            self._over = is_last and not self._scheduler.has_requests
            return self._scheduler.has_requests

    def _begin(self, contender: Contender, seed: int) -> None:
        burst = Burst(
            self.model,
            contender.plan,
            self._batches.of(seed),
            eval_batches=self._eval,
            retention_batches=self._retention,
            settings=replace(self.settings, seed=seed),
        )
        contender.begin(seed, burst)

    def _estimate_memory(self) -> None:
        """Where the device tells no peak, the cost model does."""
        if self._device.type == "cuda":
            return
        for contender in tuple(self._contenders.values()):
            if contender.estimated_bytes is None and not contender.failed:
                contender.estimate_memory(self.model, self._batches.first(), self.settings)

    def _plan(self, wanted: Wanted) -> Plan:
        plan = wanted if isinstance(wanted, Plan) else resolve(_strategy(wanted), self._tree)
        plan.check()
        return plan

    def _named(self, name: str) -> Contender:
        if name not in self._contenders:
            raise InvalidStrategy(
                f"There is no contender {name!r}.",
                expected=", ".join(self._contenders),
                found=found_for(name),
                remedy=did_you_mean(str(name), self._contenders) or "Name one of these.",
            )
        return self._contenders[name]

    def _check_new(self, name: str) -> None:
        NAME.raising(InvalidStrategy).check("A comparison", "name", name)
        if name in self._contenders:
            raise _bad("name", "one that no contender has", repr(name), "Give another name.")
        if self._over:
            raise WrongPhase(
                "The comparison is over.",
                expected="one that runs",
                found="one whose runs have ended",
                remedy="Start another one.",
            )


def _strategy(wanted: Strategy | Mapping[str, object]) -> Strategy:
    return wanted if isinstance(wanted, Strategy) else Strategy(wanted)


def _bad(what: str, expected: str, found: str, remedy: str) -> InvalidStrategy:
    return InvalidStrategy(f"A comparison cannot take this {what}.", expected=expected, found=found, remedy=remedy)
