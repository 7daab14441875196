"""A cost estimate as people read it in a terminal: the sum, its parts, the components. The numbers are made in
``core.cost.estimate``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..language.format import count, seconds, size
from ..tree.components import LABELS
from .gpus import DEVICES, usable_bytes
from .memory import Standing

if TYPE_CHECKING:
    from .estimate import CostEstimate

_AT = {"forward": "in the forward pass", "backward": "in the backward pass", "update": "in the optimizer's update"}


def cost_text(cost: CostEstimate) -> str:
    """Several lines: what, how much, of what, where, how long."""
    s = cost.settings
    least = "at least " if cost.is_bound else ""
    upper = f", at most about {size(cost.upper_bytes)}" if cost.upper_bytes is not None else ""
    lines = [
        f"{cost.title}: {cost.sentence}",
        f"{least}{size(cost.peak_bytes)}{upper} at the worst moment, {_AT.get(cost.peak.name, cost.peak.name)}; "
        f"{cost.rows} {'row' if cost.rows == 1 else 'rows'}, {cost.tokens} tokens per micro-batch, {s['dtype']}, "
        f"{s['optimizer']}{', checkpointing' if s['checkpointing'] else ''}{_of_whom(s.get('loss_positions'))}",
        "",
    ]
    total = max(1, cost.peak_bytes)
    for name, nbytes in cost.parts.items():
        if nbytes:
            lines.append(f"  {name:<16} {size(nbytes):>9}  {'█' * round(30 * nbytes / total)}")
    lines += [
        "",
        f"  {'component':<16} {'weights':>9} {'trains':>9} {'activations':>12} {'forward':>9} {'backward':>9}",
    ]
    for component, held in cost.by_component.items():
        lines.append(
            f"  {LABELS.get(component, component):<16} {size(held.get('weights', 0)):>9} "
            f"{size(_training(cost.standing, component)):>9} {size(held.get('activations', 0)):>12} "
            f"{_flops(cost.flops.forward.get(component, 0)):>9} {_flops(cost.flops.backward.get(component, 0)):>9}"
        )
    if cost.work:
        times = ", ".join(f"{d.name} {seconds(cost.time_on(d).seconds)}" for d in DEVICES.values())
        lines += ["", f"  a step takes at least: {times}"]
    files = f"adapter {size(cost.adapter_bytes)}, " if cost.adapter_bytes else ""
    lines.append(f"  on disk: {files}whole checkpoint {size(cost.checkpoint_bytes)}")
    lines += [f"  ! {note}" for note in cost.notes]
    return "\n".join(lines)


def _of_whom(loss_positions: str | None) -> str:
    return "; of a burst with logits at the labels only" if loss_positions == "labels" else ""


def fit_text(cost: CostEstimate, memory_bytes: int, largest: int | None, is_limit: bool = True) -> str:
    """Whether the step fits a GPU, with what is left or lacking, and the largest micro-batch.

    Args:
        cost: Estimated.
        memory_bytes: Of the GPU as sold.
        largest: Rows; None where it is not known.
        is_limit: Whether one row more was found not to fit; else more rows were not asked for.
    """
    room = usable_bytes(memory_bytes)
    answer = {True: "fits", False: "does not fit", None: "may or may not fit"}[cost.fits(memory_bytes)]
    off = abs(room - cost.peak_bytes)
    rest = f"{size(off)} {'are left' if cost.peak_bytes <= room else 'are lacking'} of {size(room)} for tensors"
    has = "has" if is_limit else "has at least"
    rows = "" if largest is None else f"; the largest micro-batch {has} {largest} {'row' if largest == 1 else 'rows'}"
    return f"  {answer} a GPU of {memory_bytes / 2**30:g} GB: {rest}{rows}"


def _training(standing: Standing, component: str) -> int:
    return sum(getattr(standing, part).get(component, 0) for part in ("adapters", "masters", "gradients", "optimizer"))


def _flops(number: int) -> str:
    return f"{count(number).replace(' B', ' G')}" if number else "-"
