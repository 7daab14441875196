"""Gathers what the verdicts of a launched run are judged on: each process looks at what it holds, and the counts are summed.

The same as ``engine.evidence.witness`` does for a model that one process holds. The judgement is in ``core.evidence.verdict``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..adapters.accelerate_processes import Processes, own_part
from ..core.evidence.verdict import Evidence, Verdict, judge
from ..core.tree.components import COMPONENTS
from ..engine.apply.apply import AppliedModel
from ..engine.evidence.witness import frozen_tensors
from ..engine.tensors.digests import fingerprints


class SharedWitness:
    """Looks at what this process holds of a model, before, during and after a run.

    Args:
        applied: The model with its plan on, wrapped for all processes.
        optimized: Ids of the parameters that are in an optimizer group.
        processes: This one and the others.
    """

    def __init__(self, applied: AppliedModel, optimized: frozenset[int], processes: Processes) -> None:
        self._applied, self._optimized, self._processes = applied, optimized, processes
        self._frozen = {name: own_part(t) for name, t in frozen_tensors(applied.model, applied.plan).items()}
        self._before = fingerprints(list(self._frozen.values()))
        self._start = [own_part(t.parameter.detach()).to("cpu", copy=True) for t in applied.trainables]
        self._ever = [False] * len(applied.trainables)
        self._last: Sequence[float | None] = [None] * len(applied.trainables)
        self._steps = 0

    def see_step(self, norms: Sequence[float | None]) -> None:
        """Takes note of the gradient norms of one step, in the order of ``trainables``."""
        self._steps += 1
        self._last = norms
        self._ever = [before or bool(norm) for before, norm in zip(self._ever, norms, strict=True)]

    def verdicts(
        self, lr: Mapping[str, float], updates: Mapping[str, tuple[int, int]] | None = None
    ) -> tuple[Verdict, ...]:
        """Judges every component now; all processes call it, and get the same.

        Args:
            lr: Component -> its current rate.
            updates: Trainable tensor -> elements that updates moved, elements that had a gradient.
        """
        after = fingerprints(list(self._frozen.values()))
        changed = [float(a != b) for a, b in zip(after, self._before, strict=True)]
        rows: list[list[float]] = []
        for trainable, start in zip(self._applied.trainables, self._start, strict=True):
            now = own_part(trainable.parameter.detach()).to("cpu")
            difference = float((now.float() - start.float()).norm()) ** 2
            rows.append([float(not torch.equal(now, start)), difference, float(start.float().norm()) ** 2])
        numbers = torch.tensor(changed + [v for row in rows for v in row], dtype=torch.float64)
        if self._processes.sharded:
            numbers = self._processes.sum(numbers.to(self._processes.device)).cpu()
        values = numbers.tolist()
        frozen_changed = {name for name, v in zip(self._frozen, values, strict=False) if v}
        moved = torch.tensor(values[len(changed) :], dtype=torch.float64).reshape(-1, 3).tolist()
        tree = self._applied.plan.tree
        return tuple(
            judge(self._evidence(name, lr.get(name), frozen_changed, moved, updates or {}))
            for name in COMPONENTS
            if name in tree.components
        )

    def _evidence(
        self,
        component: str,
        lr: float | None,
        changed: set[str],
        moved: Sequence[Sequence[float]],
        updates: Mapping[str, tuple[int, int]],
    ) -> Evidence:
        tree = self._applied.plan.tree
        frozen = [name for name in self._frozen if tree.component_of(name) == component]
        selected = [(i, t) for i, t in enumerate(self._applied.trainables) if t.component == component]
        squares, start_squares = (sum(moved[i][column] for i, _ in selected) for column in (1, 2))
        counted = [updates[t.name] for _, t in selected if t.name in updates]
        had_gradient = sum(had for _, had in counted)
        norms = [n for i, _ in selected if (n := self._last[i]) is not None]
        return Evidence(
            component=component,
            selected=len(selected),
            in_optimizer=sum(id(t.parameter) in self._optimized for _, t in selected),
            lr=lr,
            with_gradient=sum(self._ever[i] for i, _ in selected),
            gradient=sum(n * n for n in norms) ** 0.5 if norms else None,
            moved=sum(moved[i][0] > 0 for i, _ in selected),
            update_ratio=(squares / start_squares) ** 0.5 if start_squares else None,
            frozen=len(frozen),
            frozen_changed=sum(name in changed for name in frozen),
            changed=tuple(name for name in frozen if name in changed),
            dead=tuple(t.name for i, t in selected if not self._ever[i]),
            steps=self._steps,
            moved_share=sum(count for count, _ in counted) / had_gradient if had_gradient else None,
            is_lora=bool(selected) and all(t.is_adapter for _, t in selected),
        )
