"""What each trainer can be told: a few usual strategies exported to all of them, on one published architecture, now."""

from __future__ import annotations

from functools import cache

import vlmfreeze_widgets as vf
from vlmfreeze_widgets.core.errors import NotExpressible
from vlmfreeze_widgets.trainers.registry import TRAINERS

from .cells import cell, code, table

CHECKPOINT = "llava-hf/llava-1.5-7b-hf"
WANTED = {
    "projector in full": vf.Strategy({"projector": "full"}, lr=1e-3),
    "LoRA on the language model": vf.Strategy({"language_model": vf.Lora(rank=16)}, lr=2e-4),
    "projector in full, LoRA on the language model": vf.Strategy(
        {"projector": "full", "language_model": vf.Lora(rank=16)}, lr=2e-4
    ),
    "the same, a rate each": vf.Strategy(
        {"projector": "full", "language_model": vf.Lora(rank=16)}, lr={"projector": 1e-3, "language_model": 2e-4}
    ),
    "projector and language model in full": vf.Strategy(
        dict.fromkeys(("projector", "language_model", "embeddings", "head"), "full"), lr=2e-5
    ),
    "the last two vision blocks": vf.Strategy({"vision_tower[-2:]": "full"}, lr=1e-5),
    "vision tower in full, LoRA on the language model": vf.Strategy(
        {"vision_tower": "full", "language_model": vf.Lora(rank=16)}, lr=2e-5
    ),
    "two ranks": vf.Strategy({"projector": vf.Lora(rank=8), "language_model": vf.Lora(rank=16)}, lr=2e-4),
}


def checkpoint_tree() -> vf.ModuleTree:
    """The architecture that all of them are asked about."""
    return vf.read_tree(CHECKPOINT)


@cache
def _told() -> dict[tuple[str, str], tuple[str, tuple[str, ...]]]:
    tree = checkpoint_tree()
    found = {}
    for name, strategy in WANTED.items():
        for trainer in TRAINERS:
            try:
                written = vf.export(strategy, tree, to=trainer)
            except NotExpressible as error:
                found[name, trainer] = ("no", (str(error),))
                continue
            found[name, trainer] = ("exactly" if written.exact else "nearly", tuple(written.notes))
    return found


def trainers() -> str:
    """The whole table: a row per strategy, a column per trainer."""
    rows = [(cell(name), *(_told()[name, trainer][0] for trainer in TRAINERS)) for name in WANTED]
    return f"On {code(CHECKPOINT)}:\n\n" + table(("strategy", *TRAINERS), rows)


def refusals(trainer: str) -> str:
    """What one trainer cannot be told, in the words of its exports."""
    lines = []
    for (name, of), (how, notes) in _told().items():
        if of == trainer and how != "exactly":
            lines += [f"- **{name}** ({how}):", *(f"    - {cell(note)}" for note in notes)]
    return "\n".join(lines) or "Of the table above, nothing."
