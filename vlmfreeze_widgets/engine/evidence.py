"""Gathers, from a running burst, what the verdicts are judged on. The judgement is in ``core.verdict``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..core.components import COMPONENTS
from ..core.history import StepRecord
from ..core.plan import Plan
from ..core.verdict import Evidence, Verdict, judge
from .apply import AppliedModel

_BASE_LAYERS = re.compile(r"(\.base_layer)+\.")  # PEFT nests them, one for each adapted stack of experts


class Witness:
    """Looks at a model before, during and after a burst.

    Args:
        applied: The model with its plan on.
        optimized: Ids of the parameters that are in an optimizer group.
    """

    def __init__(self, applied: AppliedModel, optimized: frozenset[int]) -> None:
        self._applied = applied
        self._optimized = optimized
        self._frozen = frozen_tensors(applied.model, applied.plan)
        self._before = fingerprints(list(self._frozen.values()))
        self._start = applied.start_values()
        for trainable in applied.trainables:
            if trainable.is_adapter:
                self._start[trainable.name] = trainable.parameter.detach().to("cpu", copy=True)
        self._ever = [False] * len(applied.trainables)
        self._last: Sequence[float | None] = [None] * len(applied.trainables)
        self._steps = 0

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

    def go_on(self, with_gradient: Sequence[bool], steps: int, last: StepRecord | None) -> None:
        """Takes over what another witness of the same burst had seen."""
        self._ever, self._steps = list(with_gradient), steps
        if last is not None:
            self._last = last.grad_norms.norms

    def start_digests(self) -> dict[str, str]:
        """Name -> digest of every base weight and frozen buffer as it was before the burst."""
        full = {t.name: self._start[t.name] for t in self._applied.trainables if not t.is_adapter}
        digests = dict(zip(self._frozen, map(str, self._before), strict=True))
        return digests | dict(zip(full, map(str, fingerprints(list(full.values()))), strict=True))

    def put_start_values(self) -> None:
        """Gives everything that trains the value it started from."""
        with torch.no_grad():
            for trainable in self._applied.trainables:
                trainable.parameter.copy_(self._start[trainable.name])

    def verdicts(
        self, lr: Mapping[str, float], updates: Mapping[str, tuple[int, int]] | None = None
    ) -> tuple[Verdict, ...]:
        """Judges every component now. Reads each frozen and each trained tensor once.

        Args:
            lr: Component -> its current rate.
            updates: Trainable tensor -> elements that updates moved, elements that had a gradient, over all steps; where
                weights are stepped in half precision.
        """
        after = fingerprints(list(self._frozen.values()))
        changed = {name for name, a, b in zip(self._frozen, self._before, after, strict=True) if a != b}
        tree = self._applied.plan.tree
        names = [c for c in COMPONENTS if c in tree.components]
        return tuple(judge(self._evidence(name, lr.get(name), changed, updates or {})) for name in names)

    def _evidence(
        self, component: str, lr: float | None, changed: set[str], updates: Mapping[str, tuple[int, int]]
    ) -> Evidence:
        tree = self._applied.plan.tree
        frozen = [name for name in self._frozen if tree.component_of(name) == component]
        selected = [(i, t) for i, t in enumerate(self._applied.trainables) if t.component == component]
        moved, squares, start_squares = 0, 0.0, 0.0
        for _, trainable in selected:
            start = self._start[trainable.name]
            now = trainable.parameter.detach().to("cpu")
            moved += not torch.equal(now, start)
            squares += float((now.float() - start.float()).norm()) ** 2
            start_squares += float(start.float().norm()) ** 2
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
            moved=moved,
            update_ratio=(squares / start_squares) ** 0.5 if start_squares else None,
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


def fingerprints(tensors: Sequence[torch.Tensor]) -> list[tuple[int, int]]:
    """Two 64-bit sums over the bits of each tensor, read in one transfer per device.

    Fast enough for gigabytes on an accelerator; the tests prove bit identity by SHA-256. One sum is weighted by position
    within a row, so that equal changes in two places do not cancel.
    """
    sums: list[torch.Tensor] = []
    for tensor in tensors:
        flat = tensor.detach().reshape(-1)
        if flat.numel() == 0:
            sums.append(torch.zeros(2, dtype=torch.int64))
            continue
        bits = (
            flat.view(_INTEGER[flat.element_size()])
            if not flat.is_complex()
            else torch.view_as_real(flat).view(torch.int32)
        )
        bits = bits.reshape(-1)
        sums.append(torch.stack([bits.sum(dtype=torch.int64), _weighted(bits)]))
    found: list[tuple[int, int]] = [(0, 0)] * len(sums)
    by_device: dict[torch.device, list[int]] = {}
    for i, total in enumerate(sums):
        by_device.setdefault(total.device, []).append(i)
    for members in by_device.values():
        for i, (plain, weighted) in zip(members, torch.stack([sums[i] for i in members]).tolist(), strict=True):
            found[i] = (plain, weighted)
    return found


_INTEGER = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_ROW = 1 << 20  # elements weighted at a time, so that no copy of a large tensor is made


def _weighted(bits: torch.Tensor) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    weights = torch.arange(1, min(_ROW, bits.numel()) + 1, dtype=torch.int64, device=bits.device)
    for row, start in enumerate(range(0, bits.numel(), _ROW)):
        piece = bits[start : start + _ROW].to(torch.int64)
        total = total + (piece * weights[: piece.numel()]).sum() * (2 * row + 1)
    return total
