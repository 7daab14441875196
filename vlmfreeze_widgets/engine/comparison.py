"""Several strategies from the same start on the same batches, taking turns on one model, so that the comparison starts at once.

A contender is a burst that is set aside between its turns (``Burst.set_aside``), bit for bit: who else takes part, and in which
order, changes no number of anybody. What was found is a ``core.board.Board``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ..core.board import Board
from ..core.errors import InvalidStrategy, VlmFreezeError, WrongPhase
from ..core.history import StepRecord
from ..core.plan import Plan
from ..core.resolve import resolve
from ..core.strategy import Strategy
from .burst import Burst
from .contender import Contender, device_bytes
from .cost import estimate_cost
from .ownership import check_free
from .read import read_tree
from .result import BurstResult
from .same_batches import SameBatches, in_parts
from .settings import BurstSettings
from .wrappers import unwrap

Wanted = Strategy | Plan | Mapping[str, object]


@dataclass(frozen=True)
class ComparedStep:
    """One step of one contender.

    Attributes:
        name: Whose.
        seed: Of its run.
        record: The step.
    """

    name: str
    seed: int
    record: StepRecord


class Comparison:
    """A comparison that runs: an iterator of ``ComparedStep``, which can be stopped, cloned and added to on the way.

    Args:
        model: As of a burst; it is as before whenever nobody has a turn, and at the end.
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
        settings: Of every burst: fields of ``BurstSettings``.

    Raises:
        VlmFreezeError: Before anything runs: a strategy that cannot be applied, fewer than one, a busy model.

    Example:
        >>> running = vf.Comparison(model, {"projector": a, "both": b}, batches, eval_batches=held_out, steps=50, seeds=3)
        >>> for step in running:
        ...     if step.record.loss > 5:
        ...         running.stop(step.name)
        >>> print(running.board())
    """

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
        **settings: Any,  # noqa: ANN401 - fields of BurstSettings
    ) -> None:
        self.model = unwrap(model)
        check_free(self.model)
        if not strategies or not isinstance(strategies, Mapping):
            raise _bad("strategies", "a mapping of names to strategies", repr(strategies)[:60])
        if not 0 < level < 1 or not 0 <= margin < 1:
            raise _bad("level or margin", "shares between 0 and 1", f"{level!r}, {margin!r}")
        if at_once is not None and at_once < 1:
            raise _bad("at_once", "a whole number of at least 1, or None", repr(at_once))
        self.seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(seeds))
        if not self.seeds:
            raise _bad("seeds", "at least one", repr(seeds))
        self.settings = BurstSettings(**{"on_out_of_memory": "tell", **settings, "steps": steps})
        self._tree = read_tree(self.model)
        self._contenders = {name: Contender(name, self._plan(wanted)) for name, wanted in strategies.items()}
        self._batches = SameBatches(batches, steps * self.settings.accumulation)
        self._eval = None if eval_batches is None else in_parts(eval_batches)
        self._retention = None if retention_batches is None else list(retention_batches)
        self._level, self._margin, self._at_once = level, margin, at_once
        self._weights: tuple[float, ...] = ()
        self._wishes: deque[Callable[[list[Contender], int], None]] = deque()
        self._stop = False
        self._device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        self._over = False
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
        """Ends all runs where they are and gives the model back."""
        self._steps.close()
        self._over = True

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
            self._stop = True
            for contender in tuple(self._contenders.values()):
                if contender.burst is not None:
                    contender.burst.stop()
            return
        self._named(name).stopped = True

    def add(self, name: str, strategy: Wanted) -> None:
        """Lets somebody else join: from the start weights, on the batches of the others, in the present seed and all later ones.

        Raises:
            VlmFreezeError: The name is taken, the strategy cannot be applied, or the comparison is over.
        """
        self._check_new(name)
        joined = Contender(name, self._plan(strategy))
        self._contenders[name] = joined

        def join(field: list[Contender], seed: int) -> None:
            self._begin(joined, seed)
            field.append(joined)

        self._wishes.append(join)

    def clone(self, name: str, new: str, *, lr: Mapping[str, float] | float | None = None) -> None:
        """Lets a copy of a contender go on from where it is now, at other rates: weights, optimizer and place in the data alike.

        In later seeds the copy is made after the same step.

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
        if parent.burst is None or parent.steps == 0:
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
            raise _bad("lr", "rates for the same groups of tensors", f"another grouping than that of {name}")
        copy = Contender(new, plan, (name, parent.steps))
        self._contenders[new] = copy
        self._wishes.append(lambda field, seed: self._branch(copy, field, seed))

    @property
    def results(self) -> dict[str, BurstResult]:
        """Name -> the burst's result of the first seed, where it is over: ``.keep()`` puts its weights on the model."""
        return {name: c.result for name, c in self._contenders.items() if c.result is not None}

    def board(self) -> Board:
        """What is known now."""
        entries = tuple(c.entry(self._eval is None) for c in self._contenders.values())
        notes: list[str] = []
        if len(self.seeds) == 1:
            notes.append("One seed: the intervals do not know how another run would have ended.")
        elif all(len({run.losses for run in e.runs}) == 1 and len(e.runs) > 1 for e in entries):
            notes.append("All seeds gave the same run: neither the order of the batches nor anything else was drawn.")
        if self._eval is None:
            notes.append("Nothing is held out: the training loss of the last third of the steps is compared.")
        entries = tuple(replace(e, note=e.note[:400]) for e in entries)
        parts = max((len(look) for e in entries for r in e.runs for look in r.looks.values()), default=0)
        weights = self._weights or (1.0,) * parts
        measured = "training loss" if self._eval is None else "held-out loss"
        return Board(entries, weights, measured, self._level, self._margin, tuple(notes))

    def __repr__(self) -> str:
        return str(self.board())

    def _repr_html_(self) -> str:
        return self.board()._repr_html_()

    def _run(self) -> Generator[ComparedStep, None, None]:
        try:
            for seed in self.seeds:
                waiting = [c for c in self._contenders.values() if not c.is_out and c.origin is None]
                size = self._at_once or max(1, len(waiting))
                for start in range(0, len(waiting), size):
                    yield from self._heat(waiting[start : start + size], seed)
                    if self._stop:
                        return
                self._foresee()
        finally:
            self._over = True
            for contender in self._contenders.values():
                contender.end(keep=True)

    def _heat(self, first: Sequence[Contender], seed: int) -> Generator[ComparedStep, None, None]:
        field: list[Contender] = []
        base = device_bytes(self._device)
        for contender in first:
            self._begin(contender, seed)
            field.append(contender)
        while True:
            while self._wishes:
                self._wishes.popleft()(field, seed)
            running = [c for c in field if c.burst is not None]
            if not running or self._stop:
                break
            # The one that is behind goes next; who joined late catches up.
            contender = min(running, key=lambda c: c.steps)
            yield from self._turn(contender, field, seed, base)
        for contender in field:
            contender.end(keep=True)

    def _turn(
        self, contender: Contender, field: list[Contender], seed: int, base: int
    ) -> Generator[ComparedStep, None, None]:
        others = sum(c.held_bytes for c in field if c is not contender)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        seen: list[StepRecord] = []
        contender.turn = min(contender.turn, self._until_branch(contender, field))
        goes_on = not contender.stopped and contender.take_turn(seen.append)
        if contender.burst is not None and not self._weights and contender.burst.eval_parts:
            self._weights = tuple(float(n) for _, n in contender.burst.eval_parts[0])
        if self._device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._device) - others
            contender.peak_bytes = max(contender.peak_bytes or 0, peak)
        if goes_on:
            contender.held_bytes = max(0, device_bytes(self._device) - base - others)
            for child in self._contenders.values():
                if child.origin == (contender.name, contender.steps) and not child.is_out and child not in field:
                    self._branch(child, field, seed)
        else:
            contender.end(keep=True)
        for record in seen:
            yield ComparedStep(contender.name, seed, record)

    def _until_branch(self, contender: Contender, field: list[Contender]) -> int:
        """Steps until somebody is cloned of it in this seed, so that no turn goes past that."""
        due = [
            c.origin[1] - contender.steps
            for c in self._contenders.values()
            if c.origin is not None and c.origin[0] == contender.name and c not in field
        ]
        return min([d for d in due if d > 0], default=self.settings.steps)

    def _branch(self, copy: Contender, field: list[Contender], seed: int) -> None:
        assert copy.origin is not None
        parent = self._contenders[copy.origin[0]]
        if copy in field or parent.burst is None or parent.steps != copy.origin[1]:
            return
        saved = parent.burst.copied_state()
        looked = dict(parent.burst.eval_parts)
        parent.burst.set_aside()
        self._begin(copy, seed)
        assert copy.burst is not None
        copy.burst.go_on_from(saved)
        copy.burst.eval_parts.update(looked)
        field.append(copy)

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

    def _foresee(self) -> None:
        """Where the device tells no peak, the cost model does."""
        if self._device.type == "cuda":
            return
        for contender in self._contenders.values():
            if contender.foreseen_bytes is not None or contender.failed:
                continue
            settings = self.settings
            try:
                contender.foreseen_bytes = estimate_cost(
                    self.model,
                    contender.plan,
                    batch=self._batches.first(),
                    optimizer=settings.optimizer,
                    checkpointing=settings.checkpointing,
                    precision=settings.precision,
                    accumulation=settings.accumulation,
                ).peak_bytes
            except VlmFreezeError:
                continue  # the board then has no memory; the comparison is none the worse

    def _plan(self, wanted: Wanted) -> Plan:
        plan = wanted if isinstance(wanted, Plan) else resolve(_strategy(wanted), self._tree)
        plan.check()
        return plan

    def _named(self, name: str) -> Contender:
        if name not in self._contenders:
            raise _bad("name", ", ".join(self._contenders), repr(name))
        return self._contenders[name]

    def _check_new(self, name: str) -> None:
        if name in self._contenders:
            raise _bad("name", "one that no contender has", repr(name))
        if self._over:
            raise WrongPhase(
                "The comparison is over.",
                expected="one that runs",
                found="one whose runs have ended",
                remedy="Start another one.",
            )


def compare(
    model: nn.Module,
    strategies: Mapping[str, Wanted],
    batches: Iterable[Any],
    *,
    on_step: Callable[[ComparedStep], None] | None = None,
    **given: Any,  # noqa: ANN401 - keywords of Comparison
) -> Board:
    """Runs several strategies from the same weights on the same batches, and says which is better, by how much, or that it is
    too close to call.

    Args:
        model: A real model; it is as before afterwards.
        strategies: Name -> what trains.
        batches: Everyone sees the same.
        on_step: Called with each ``ComparedStep``.
        given: As of ``Comparison``: eval_batches, retention_batches, steps, seeds, level, margin, at_once, and burst settings.

    Returns:
        The board: print it, or ``.to_pandas()``, ``.figure()``, ``.places``, ``.front``, ``.difference(a, b)``.

    Raises:
        VlmFreezeError: As of ``Comparison``.
    """
    return Comparison(model, strategies, batches, **given).run(on_step)


def _strategy(wanted: Strategy | Mapping[str, object]) -> Strategy:
    return wanted if isinstance(wanted, Strategy) else Strategy(wanted)


def _bad(what: str, expected: str, found: str) -> InvalidStrategy:
    return InvalidStrategy(
        f"A comparison cannot run with this {what}.", expected=expected, found=found, remedy=f"Change {what}."
    )
