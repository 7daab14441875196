"""The verdict per component, "does it really train?": selected · in the optimizer · gradient arrives · weights moved.

Pure judgement of evidence; the evidence is gathered by ``engine.evidence.witness``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..language.format import rate
from ..language.phrase import joined, say
from ..numbers import number, read_number
from ..tree.components import LABELS

_MOSTLY = 0.5  # an update that moves less than half of the elements is worth a warning

Status = Literal["ok", "warning", "failure", "pending"]


@dataclass(frozen=True)
class Evidence:
    """What was seen of one component in a burst.

    Attributes:
        component: Its name.
        selected: Tensors that the plan trains (full parameters, and A and B of every adapter).
        in_optimizer: Of those, tensors held by an optimizer group.
        lr: The rate of its group, the highest if several, at the last step.
        with_gradient: Tensors that got a gradient that was not zero at some step.
        gradient: The component's gradient norm at the last step; None without gradient.
        moved: Tensors whose values differ from the start.
        update_ratio: ‖ΔW‖ / ‖W‖ over the full parameters (‖ΔBA‖ is not formed; for LoRA over A and B themselves).
        frozen: Tensors that must not change (parameters and buffers).
        frozen_changed: Of those, tensors whose bits changed.
        dead: Names of selected tensors that never got a gradient.
        changed: Names of the frozen tensors whose bits changed.
        steps: Optimizer steps so far.
        is_lora: Whether all that is selected are adapters.
        moved_share: Of the elements that had a gradient, those that an update moved; None where every update is held.
        is_over: Whether no further step follows.
    """

    component: str
    selected: int
    in_optimizer: int
    lr: float | None
    with_gradient: int
    gradient: float | None
    moved: int
    update_ratio: float | None
    frozen: int
    frozen_changed: int
    dead: tuple[str, ...]
    steps: int
    is_lora: bool
    changed: tuple[str, ...] = ()
    moved_share: float | None = None
    is_over: bool = False


@dataclass(frozen=True)
class Verdict:
    """The judgement on one component.

    Attributes:
        component: Its name.
        status: "ok", "warning" (trains, but not all of it), "failure" (does not do what was wanted), or "pending" (too few steps
            to tell, so far or for good).
        text: One line for people.
        selected: Whether anything of it was to train.
        lr: The rate, None when frozen.
        gradient: The last gradient norm, None without.
        moved: Update ratio ‖ΔW‖ / ‖W‖; 0.0 for a frozen component that did not change.
        dead: Selected tensors that never got a gradient.
        changed: Frozen tensors whose bits changed.
    """

    component: str
    status: Status
    text: str
    selected: bool
    lr: float | None = None
    gradient: float | None = None
    moved: float | None = None
    dead: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The component as people call it."""
        return LABELS.get(self.component, self.component)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        numbers = {name: number(getattr(self, name)) for name in ("lr", "gradient", "moved")}
        return {**asdict(self), **numbers, "dead": list(self.dead), "changed": list(self.changed)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """What ``to_dict`` wrote.

        Raises:
            KeyError: Something is missing.
        """
        lr, gradient, moved = (read_number(data[name]) for name in ("lr", "gradient", "moved"))
        dead, changed = tuple(data["dead"]), tuple(data["changed"])
        return cls(
            data["component"], data["status"], data["text"], data["selected"], lr, gradient, moved, dead, changed
        )

    def __str__(self) -> str:
        sign = {"ok": "✓", "warning": "!", "failure": "✗", "pending": "…"}[self.status]
        return f"{sign} {self.label}: {self.text}"


def judge(evidence: Evidence) -> Verdict:
    """One component's verdict.

    LoRA starts with B = 0, so the gradient of A is exactly zero at step 1: A is judged from step 2 on.
    """
    e = evidence
    if e.frozen_changed:
        return Verdict(
            e.component,
            "failure",
            say("{some} of {all} frozen tensors changed", some=e.frozen_changed, all=e.frozen),
            bool(e.selected),
            e.lr,
            e.gradient,
            changed=e.changed,
        )
    if not e.selected:
        return Verdict(e.component, "ok", say("frozen: 0 of {all} tensors changed", all=e.frozen), False, moved=0.0)
    known = {"selected": True, "lr": e.lr, "gradient": e.gradient, "moved": e.update_ratio, "dead": e.dead}
    if e.steps < (2 if e.is_lora else 1):
        return Verdict(e.component, "pending", _too_early(e), **known)  # type: ignore[arg-type]
    if e.in_optimizer < e.selected:
        return Verdict(
            e.component,
            "failure",
            say("{some} of {all} tensors are in no optimizer group", some=e.selected - e.in_optimizer, all=e.selected),
            **known,  # type: ignore[arg-type]
        )
    if not e.with_gradient:
        text = say("no gradient reaches any of its {n} tensors", n=e.selected)
        return Verdict(e.component, "failure", text, **known)  # type: ignore[arg-type]
    lr = f"lr {rate(e.lr)}" if e.lr is not None else "lr ?"
    if not e.moved:
        why = say("the learning rate is 0") if not e.lr else say("every update rounds to zero")
        text = say("{lr} · gradient arrives · nothing moved: {why}", lr=lr, why=why)
        return Verdict(e.component, "failure", text, **known)  # type: ignore[arg-type]
    gradient = (
        say("gradient {value}", value=f"{e.gradient:.2g}")
        if e.gradient is not None
        else say("gradient at an earlier step")
    )
    moved = say("moved {ratio}", ratio=_ratio(e.update_ratio))
    reach = say("A and B: gradient on {some} of {all}", some=e.with_gradient, all=e.selected) if e.is_lora else gradient
    parts: list[str] = [lr, reach, moved]
    if e.moved_share is not None:
        parts.append(
            say(
                "an update moves {share} of the elements, the rest rounds to nothing in bfloat16",
                share=f"{e.moved_share:.0%}",
            )
        )
    if e.with_gradient < e.selected:
        missing = e.selected - e.with_gradient
        parts.append(say("{some} of {all} tensors get no gradient", some=missing, all=e.selected))
        return Verdict(e.component, "warning", joined(parts, " · "), **known)  # type: ignore[arg-type]
    stuck = e.moved_share is not None and e.moved_share < _MOSTLY
    return Verdict(e.component, "warning" if stuck else "ok", joined(parts, " · "), **known)  # type: ignore[arg-type]


def _too_early(evidence: Evidence) -> str:
    """Why nothing can be said of a component that trains: steps are still to come, or there were too few."""
    if not evidence.is_over:
        return say("waiting for the first steps")
    if not evidence.steps:
        return say("not known: no step was taken")
    return say("not known: A has no gradient before step 2, and only 1 step was taken")


def _ratio(value: float | None) -> str:
    if value is None:
        return "?"
    return rate(float(f"{value:.1e}")) if 0 < value < 0.01 else f"{value:.2g}"
