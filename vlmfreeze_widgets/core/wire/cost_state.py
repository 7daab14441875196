"""What the page is shown of a cost: the trait ``cost_state`` as tests/wire/README.md fixes it. Plain data and bytes; who sends it
is in ``widgets``, the sentences in ``core.cost.sentences``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..cost.assumptions import HERE, OPTIMIZERS, PRECISIONS, SCHEME_LABELS
from ..cost.gpus import DEVICES, Device
from ..cost.per_module import bytes_by_node, packed
from ..cost.sentences import (
    comparison_note,
    comparison_rows,
    disk_sentence,
    fit_sentence,
    moment_words,
    switch_sentence,
    time_sentence,
    what_if_sentence,
)
from ..cost.view import CostView
from ..language.phrase import joined, say
from ..strategy.plan import Plan
from ..tree.components import LABELS
from .messages import VERSION

PART_LABELS: Mapping[str, str] = {
    "weights": say("weights"),
    "adapters": say("adapters"),
    "masters": say("masters"),
    "gradients": say("gradients"),
    "optimizer": say("optimizer"),
    "activations": say("activations"),
    "logits and loss": say("logits and loss"),
    "temporary": say("temporary"),
    "batch": say("batch"),
}

_COLUMNS = ("weights", "trains", "activations")
_TRAINS = ("adapters", "masters", "gradients", "optimizer")


def cost_state(view: CostView, plan: Plan, number: int) -> dict[str, Any]:
    """The trait ``cost_state``.

    Args:
        view: What is known.
        plan: Of the same revision.
        number: Grows with every view.
    """
    device, cost = view.device, view.cost
    return {
        "v": VERSION,
        "number": number,
        "rev": view.rev,
        "status": view.status,
        "basis": _basis(view),
        "at": moment_words(view),
        "parts": [{"name": n, "label": PART_LABELS.get(n, n), "bytes": b} for n, b in view.parts.items() if b],
        "total_bytes": view.total_bytes,
        "upper_bytes": cost.upper_bytes,
        "limit": None
        if device is None
        else {"label": device.name, "memory_bytes": device.memory_bytes, "usable_bytes": view.room},
        "fits": view.fits,
        "fit": fit_sentence(view),
        "lines": [line for line in (what_if_sentence(view), time_sentence(view), disk_sentence(view)) if line],
        "notes": [*([view.problem] if view.problem else []), *cost.notes],
        "components": [_component(name, held) for name, held in cost.by_component.items() if sum(held.values())],
        "switches": None
        if view.switches is None
        else [
            {"name": s.name, "label": s.label, "saved_bytes": s.saved_bytes, "text": switch_sentence(s)}
            for s in view.switches
        ],
        "comparison": None
        if view.comparison is None
        else {
            "burst": view.comparison.burst,
            "rows": comparison_rows(view.comparison),
            "note": comparison_note(view.comparison),
        },
        "settings": asdict(view.settings),
        "has_batch": view.has_batch,
        "menus": {
            "device": _devices(view),
            "precision": _menu(PRECISIONS),
            "optimizer": _menu(OPTIMIZERS),
            "scheme": _menu(SCHEME_LABELS),
        },
        "by_node": packed(bytes_by_node(plan, cost)),
    }


def _basis(view: CostView) -> str:
    cost = view.cost
    # Arithmetic does not know how many rows a user's own batch has.
    words: list[str] = (
        [say("batch {n}", n=cost.rows)] if cost.tokens or view.settings.rows or not view.has_batch else []
    )
    if cost.tokens:
        words.append(say("{n} tokens a row", n=cost.tokens // max(1, cost.rows)))
    if view.settings.accumulation > 1:
        words.append(say("{n} times a step", n=view.settings.accumulation))
    if view.settings.gpus > 1:
        words.append(
            say("each of {n} GPUs, {scheme}", n=view.settings.gpus, scheme=SCHEME_LABELS[view.settings.scheme])
        )
    return joined(words, " · ")


def _component(name: str, held: Mapping[str, int]) -> dict[str, Any]:
    sums = {
        "weights": held.get("weights", 0),
        "trains": sum(held.get(part, 0) for part in _TRAINS),
        "activations": held.get("activations", 0),
    }
    return {"name": name, "label": LABELS.get(name, name), **{column: sums[column] for column in _COLUMNS}}


def _devices(view: CostView) -> list[list[str]]:
    here = _here(view.here) if view.here else say("this CPU")
    sold = [[d.name, f"{_kind(d.name)}, {d.memory_bytes / 2**30:.0f} GB"] for d in DEVICES.values()]
    return ([[HERE, here]] if view.can_be_here else []) + sold


def _here(device: Device) -> str:
    return say("{device} here, {size} GB", device=device.name, size=f"{device.memory_bytes / 2**30:.0f}")


def _kind(name: str) -> str:
    """A GPU's name without its memory, which is shown next to it."""
    kind, _, memory = name.rpartition(" ")
    return kind if memory.endswith("GB") else name


def _menu(words: Mapping[str, str]) -> list[list[str]]:
    return [list(item) for item in words.items()]
