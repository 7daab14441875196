"""Stages as text, one line each: for ``print`` and for notes. The table of the terminal is in ``cli``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..language.format import printable, rate
from ..language.phrase import joined, say
from ..strategy.strategy import Strategy
from ..tree.components import SHORT_LABELS
from .stage import Stage

if TYPE_CHECKING:
    from .stages import Stages


def what_trains(strategy: Strategy) -> str:
    """ "projector full 1e-3 · LLM LoRA r16 2e-4": the rules that train, each with its rate where it is named."""
    parts: list[str] = []
    for target, tuning in strategy.rules.items():
        if tuning.kind == "frozen":
            continue
        # Embeddings and head that train beside the language model at its rate say nothing new.
        language = strategy.rules.get("language_model")
        if target in ("embeddings", "head") and tuning == language and target not in strategy.lr:
            continue
        lr = strategy.lr.get(target, strategy.lr.get(""))
        label = SHORT_LABELS.get(target, target)
        lr_text = f" {rate(lr)}" if lr is not None else ""
        what = say("full") if tuning.kind == "full" else str(tuning)
        parts.append(say("{part} {kinds}{where}{lr}", part=label, kinds=what, where="", lr=lr_text))
    return joined(parts, " · ") if parts else say("nothing trains")


def how_long(stage: Stage) -> str:
    """ "256 rows, 1 epoch, cosine, warm-up 3 %": what the source says, and nothing that it does not."""
    phrases: list[str] = []
    if stage.batch is not None:
        phrases.append(say("{n} rows", n=stage.batch))
    elif stage.per_device is not None:
        phrases.append(say("{n} rows per device", n=stage.per_device))
    if stage.steps is not None:
        steps = f"{stage.steps:,}"
        phrases.append(say("{n} step", n=steps) if stage.steps == 1 else say("{n} steps", n=steps))
    if stage.epochs is not None:
        phrases.append(
            say("{n} epoch", n=f"{stage.epochs:g}") if stage.epochs == 1 else say("{n} epochs", n=f"{stage.epochs:g}")
        )
    phrases += [stage.schedule] if stage.schedule else []
    if stage.warmup:
        phrases.append(
            say("warm-up {n} steps", n=f"{stage.warmup:g}")
            if stage.warmup >= 1
            else say("warm-up {share} %", share=f"{100 * stage.warmup:g}")
        )
    phrases += [stage.optimizer] if stage.optimizer != "adamw" else []
    return joined(phrases, ", ") if phrases else ""


def stages_text(stages: Stages) -> str:
    """The stages in a table, with their sources and notes below."""
    head = f"{stages.name}{f' ({stages.source})' if stages.source else ''}"
    # The repository that the head names is not said again in each row, which would no longer fit a notebook's cell.
    again = f", {stages.source.partition(', ')[0]}"
    rows = [
        (stage.name, what_trains(stage.strategy), how_long(stage), stage.source.removesuffix(again)) for stage in stages
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  ".join([f"{i + 1}", *(row[k].ljust(widths[k]) for k in range(3)), row[3]]).rstrip()
        for i, row in enumerate(rows)
    ]
    notes = [f"· {stage.name}: {note}" for stage in stages for note in stage.notes]
    return "\n".join(printable(line) for line in [head, *lines, *notes])
