"""Who of several contenders has the model, and when: turns within one seed, joining late, cloning after the same step in each seed.

What a turn is, is in ``engine.comparison.contender``; what the user asks for, in ``engine.comparison.comparison``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ...core.errors import RestartNeeded, VlmFreezeError
from ...core.history.history import StepRecord
from .contender import Contender, device_bytes


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


class TurnScheduler:
    """Lets contenders take turns.

    Args:
        contenders: All of them by name; grows while it runs.
        begin: Gives a contender its burst of a seed; the model is free then.
        steps: Of a run.
        turn: Steps of a turn; None: as many as are worth it.
        device: Of the model.

    Attributes:
        stop: Whether all of it shall end.
        weights: Label tokens of the held-out parts, once they were looked at.
    """

    def __init__(
        self,
        contenders: Mapping[str, Contender],
        begin: Callable[[Contender, int], None],
        steps: int,
        turn: int | None,
        device: torch.device,
    ) -> None:
        self.stop = False
        self.weights: tuple[float, ...] = ()
        self._contenders, self._begin, self._steps, self._device = contenders, begin, steps, device
        self._turn_steps = turn
        self._requests: deque[Callable[[int], None]] = deque()
        self._active: list[Contender] = []

    def request(self, request: Callable[[int], None]) -> None:
        """Has something done between two turns; it gets the seed. From any thread."""
        self._requests.append(request)

    @property
    def has_requests(self) -> bool:
        """Whether a request waits."""
        return bool(self._requests)

    def run(self, first: Sequence[Contender], seed: int) -> Generator[ComparedStep, None, None]:
        """Runs some contenders to the end of one seed.

        Args:
            first: Who begins; others may join.
            seed: Of their runs.
        """
        self._active = []
        base = device_bytes(self._device)
        for contender in first:
            self.join(contender, seed)
        while True:
            while self._requests:
                self._requests.popleft()(seed)
            running = [c for c in self._active if c.burst is not None]
            if not running or self.stop:
                break
            # The one that is behind goes next; who joined late catches up.
            yield from self._turn(min(running, key=lambda c: c.steps), seed, base)
        for contender in self._active:
            contender.cut_short()

    def join(self, contender: Contender, seed: int) -> None:
        """Adds a contender, from the start weights."""
        self._begin(contender, seed)
        self._active.append(contender)

    def join_late(self, contender: Contender, seed: int) -> None:
        """Adds a contender while others run: if it cannot start, it has failed, and the others go on."""
        if contender.has_begun(seed) or contender.is_out:
            return
        try:
            self.join(contender, seed)
        except RestartNeeded:
            raise
        except VlmFreezeError as error:
            contender.fail(error)

    def branch_now(self, copy: Contender, seed: int) -> None:
        """Lets a clone in where its parent stands between these two turns: the request may have come in the middle of one."""
        assert copy.origin is not None
        parent = self._contenders[copy.origin[0]]
        if parent.burst is not None and parent.steps:
            copy.come_from(parent.name, parent.steps)
        self.branch(copy, seed)

    def branch(self, copy: Contender, seed: int) -> None:
        """Lets a clone in, with the state of its parent, if that stands where it is to be cloned."""
        assert copy.origin is not None
        parent = self._contenders[copy.origin[0]]
        if copy in self._active or parent.burst is None or parent.steps != copy.origin[1]:
            return
        saved, looked = parent.burst.copied_state(), dict(parent.burst.eval_parts)
        parent.burst.suspend()
        self.join(copy, seed)
        assert copy.burst is not None
        copy.burst.restore_state(saved)
        copy.burst.eval_parts.update(looked)

    def _turn(self, contender: Contender, seed: int, base: int) -> Generator[ComparedStep, None, None]:
        others = sum(c.held_bytes for c in self._active if c is not contender)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        seen: list[StepRecord] = []
        most = min(self._turn_steps or contender.worthwhile, self._until_branch(contender))
        goes_on = not contender.stopped and contender.take_turn(most, seen.append)
        if contender.burst is not None and not self.weights and contender.burst.eval_parts:
            self.weights = tuple(float(n) for _, n in contender.burst.eval_parts[0])
        if self._device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self._device) - others
            contender.peak_bytes = max(contender.peak_bytes or 0, peak)
        if goes_on:
            contender.held_bytes = max(0, device_bytes(self._device) - base - others)
            for child in list(self._contenders.values()):
                if child.origin == (contender.name, contender.steps) and not child.is_out:
                    self.branch(child, seed)
        else:
            contender.end()
        for record in seen:
            yield ComparedStep(contender.name, seed, record)

    def _until_branch(self, contender: Contender) -> int:
        """Steps until a clone is made of it in this seed, so that no turn goes past that."""
        due = [
            c.origin[1] - contender.steps
            for c in list(self._contenders.values())
            if c.origin is not None and c.origin[0] == contender.name and c not in self._active
        ]
        return min([d for d in due if d > 0], default=self._steps)
