"""Gathers, from a burst or a launched run, what the verdicts are judged on. The judgement is in ``core.evidence.verdict``.

Of several processes each looks at what it holds, and the counts are added up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import nn

from ...core.evidence.freeze_proof import Proof, Restored
from ...core.evidence.verdict import Evidence, Verdict, judge
from ...core.history.history import StepRecord
from ...core.strategy.plan import Plan
from ...core.tree.components import COMPONENTS
from ..apply.apply import AppliedModel
from ..tensors.digests import algorithm_for, bytes_of, digests
from ..tensors.movement import measured, movement
from ..tensors.reduction import ONE_PROCESS, Reduction

_BASE_LAYERS = re.compile(r"(\.base_layer)+\.")  # PEFT nests them, one for each adapted stack of experts


class Witness:
    """Looks at a model before, during and after a burst.

    Args:
        applied: The model with its plan on.
        optimized: Ids of the parameters that are in an optimizer group.
        proof: "sha256", "fast" or "auto": how frozen tensors are compared.
        together: The processes that hold the model, when there are several; digests are then those of this one's parts.
    """

    def __init__(
        self,
        applied: AppliedModel,
        optimized: frozenset[int],
        proof: str = "auto",
        together: Reduction = ONE_PROCESS,
    ) -> None:
        self._applied = applied
        self._optimized = optimized
        self._together = together
        self._frozen = frozen_tensors(applied.model, applied.plan)
        began = time.perf_counter()
        self._algorithm = algorithm_for(self._frozen_parts(), proof)
        self._before = digests(self._frozen_parts(), self._algorithm)
        self._seconds = time.perf_counter() - began
        # Buffers of what trains may move (a BatchNorm's means), and are restored: needed for ``all_digests``.
        known = applied.plan.tree.by_path  # adapters' own modules are in no tree
        self._moving = {
            name: tensor
            for name, tensor in every_tensor(applied.model).items()
            if name not in self._frozen and name.rpartition(".")[0] in known and not isinstance(tensor, nn.Parameter)
        }
        self._moving_before = digests(list(self._moving.values()), self._algorithm)
        self.proof: Proof | None = None
        """What the last judgement showed of the frozen tensors."""
        self._start = applied.start_values()
        for trainable in applied.trainables:
            if trainable.is_adapter or together.is_sharded:  # a whole start value tells nothing of a shard
                self._start[trainable.name] = together.own_part(trainable.parameter.detach()).to("cpu", copy=True)
        self._component: dict[str, str | None] = {}
        self._moved = measured([], [])
        self._ever = [False] * len(applied.trainables)
        self._last: Sequence[float | None] = [None] * len(applied.trainables)
        self._steps = 0

    def _frozen_parts(self) -> list[torch.Tensor]:
        return [self._together.own_part(t) for t in self._frozen.values()]

    def see_step(self, norms: Sequence[float | None]) -> None:
        """Takes note of the gradient norms of one step, in the order of ``trainables``."""
        self._steps += 1
        self._last = norms
        for i, norm in enumerate(norms):
            if norm:
                self._ever[i] = True

    @property
    def with_gradient(self) -> list[bool]:
        """Per trainable tensor, whether a gradient that was not zero came at some step."""
        return list(self._ever)

    def resume(self, with_gradient: Sequence[bool], steps: int, last: StepRecord | None) -> None:
        """Takes over what another witness of the same burst had seen."""
        self._ever, self._steps = list(with_gradient), steps
        if last is not None:
            self._last = last.grad_norms.norms

    def start_digests(self) -> dict[str, str]:
        """Name -> digest of every base weight and frozen buffer as it was before the burst."""
        full = {t.name: self._start[t.name] for t in self._applied.trainables if not t.is_adapter}
        found = dict(zip(self._frozen, self._before, strict=True))
        return found | dict(zip(full, digests(list(full.values()), "fast"), strict=True))

    def all_digests(self) -> dict[str, str]:
        """Name -> digest, by the proof's algorithm, of every tensor of the model as it was before the plan was put on it."""
        full = {t.name: self._start[t.name] for t in self._applied.trainables if not t.is_adapter}
        return {
            **dict(zip(self._frozen, self._before, strict=True)),
            **dict(zip(self._moving, self._moving_before, strict=True)),
            **dict(zip(full, digests(list(full.values()), self._algorithm), strict=True)),
        }

    def put_start_values(self) -> None:
        """Gives everything that trains the value it started from."""
        with torch.no_grad():
            for trainable in self._applied.trainables:
                trainable.parameter.copy_(self._start[trainable.name])

    def verdicts(
        self, lr: Mapping[str, float], updates: Mapping[str, tuple[int, int]] | None = None, *, is_over: bool = False
    ) -> tuple[Verdict, ...]:
        """Judges every component now; all processes call it. Reads each frozen and each trained tensor once.

        Args:
            lr: Component -> its current rate.
            updates: Trainable tensor -> elements that updates moved, elements that had a gradient, over all steps; where
                weights are stepped in half precision.
            is_over: Whether no further step follows.
        """
        began = time.perf_counter()
        frozen = self._frozen_parts()
        after = digests(frozen, self._algorithm)
        unlike = [float(a != b) for a, b in zip(self._before, after, strict=True)]
        parts = self._together.sum_of_parts(torch.tensor(unlike, dtype=torch.float64, device="cpu")).tolist()
        changed = {name for name, count in zip(self._frozen, parts, strict=True) if count}
        spent = self._seconds + time.perf_counter() - began
        now = [self._together.own_part(t.parameter.detach()) for t in self._applied.trainables]
        start = [self._start[t.name] for t in self._applied.trainables]
        self._moved = self._together.sum_of_parts(measured(now, start))
        tree = self._applied.plan.tree
        names = [c for c in COMPONENTS if c in tree.components]
        self._component = {name: tree.component_of(name) for name in self._frozen}
        counts = {
            c: (sum(at == c for at in self._component.values()), sum(self._component[n] == c for n in changed))
            for c in names
        }
        self.proof = Proof(
            len(frozen), tuple(sorted(changed)), self._algorithm, bytes_of(frozen), spent,
            dict(zip(self._frozen, self._before, strict=True)), counts,
        )  # fmt: skip
        found = (self._evidence(name, lr.get(name), changed, updates or {}) for name in names)
        return tuple(judge(replace(evidence, is_over=is_over)) for evidence in found)

    def _evidence(
        self, component: str, lr: float | None, changed: set[str], updates: Mapping[str, tuple[int, int]]
    ) -> Evidence:
        frozen = [name for name, at in self._component.items() if at == component]
        selected = [(i, t) for i, t in enumerate(self._applied.trainables) if t.component == component]
        way = movement(self._moved[[i for i, _ in selected]])
        counted = [updates[t.name] for _, t in selected if t.name in updates]
        had_gradient = sum(had for _, had in counted)
        norms = [n for i, _ in selected if (n := self._last[i]) is not None]
        gradient = sum(n * n for n in norms) ** 0.5 if norms else None
        return Evidence(
            component=component,
            selected=len(selected),
            in_optimizer=sum(id(t.parameter) in self._optimized for _, t in selected),
            lr=lr,
            with_gradient=sum(self._ever[i] for i, _ in selected),
            gradient=gradient,
            moved=way.moved,
            update_ratio=(way.squares / way.start_squares) ** 0.5 if way.start_squares else None,
            frozen=len(frozen),
            frozen_changed=sum(name in changed for name in frozen),
            changed=tuple(name for name in frozen if name in changed),
            dead=tuple(t.name for i, t in selected if not self._ever[i]),
            steps=self._steps,
            moved_share=sum(moved for moved, _ in counted) / had_gradient if had_gradient else None,
            is_lora=bool(selected) and all(t.is_adapter for _, t in selected),
        )


def frozen_tensors(model: nn.Module, plan: Plan) -> dict[str, torch.Tensor]:
    """Base parameters that do not train, and buffers of modules in which nothing trains, by their name in the tree."""
    found: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        base = _BASE_LAYERS.sub(".", name)
        if base in plan.tree.by_name and not parameter.requires_grad:
            found[base] = parameter
    for path, module in model.named_modules():
        if any(p.requires_grad for p in module.parameters()):
            continue
        for name, buffer in module.named_buffers(path, recurse=False):
            found[name] = buffer
    return found


def every_tensor(model: nn.Module) -> dict[str, torch.Tensor]:
    """Base parameters and buffers by their name in the tree, each tensor once; callers leave adapters out."""
    found = [*model.named_parameters(), *model.named_buffers()]
    return {_BASE_LAYERS.sub(".", name): tensor for name, tensor in found}


def restored(model: nn.Module, before: Mapping[str, str], algorithm: str) -> Restored:
    """Compares a model after its restoration with what it was.

    Args:
        model: With no plan on it.
        before: What ``Witness.all_digests`` gave.
        algorithm: Of those.
    """
    began = time.perf_counter()
    here = {name: tensor for name, tensor in every_tensor(model).items() if name in before}
    now = dict(zip(here, digests(list(here.values()), algorithm), strict=True))
    changed = tuple(sorted(name for name, digest in before.items() if now.get(name) != digest))
    return Restored(len(before), changed, algorithm, time.perf_counter() - began)
