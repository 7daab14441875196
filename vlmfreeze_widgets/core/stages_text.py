"""Stages as text, one line each: for ``print`` and for notes. The table of the terminal is in ``cli``."""

from __future__ import annotations

from .components import SHORT_LABELS
from .stage import Stage
from .stages import Stages
from .strategy import Strategy
from .wording import printable, rate


def what_trains(strategy: Strategy) -> str:
    """ "projector full 1e-3 · LLM LoRA r16 2e-4": the rules that train, each with its rate where it is named."""
    parts = []
    for target, tuning in strategy.rules.items():
        if tuning.kind == "frozen":
            continue
        # Embeddings and head that train beside the language model at its rate say nothing new.
        beside = strategy.rules.get("language_model")
        if target in ("embeddings", "head") and tuning == beside and target not in strategy.lr:
            continue
        lr = strategy.lr.get(target, strategy.lr.get(""))
        label = SHORT_LABELS.get(target, target)
        parts.append(f"{label} {tuning}" + (f" {rate(lr)}" if lr is not None else ""))
    return " · ".join(parts) or "nothing trains"


def how_long(stage: Stage) -> str:
    """ "256 rows, 1 epoch, cosine, warm-up 3 %": what the source says, and nothing that it does not."""
    said = []
    if stage.batch is not None:
        said.append(f"{stage.batch} rows")
    elif stage.per_device is not None:
        said.append(f"{stage.per_device} rows per device")
    if stage.steps is not None:
        said.append(f"{stage.steps:,} step{'s' * (stage.steps != 1)}")
    if stage.epochs is not None:
        said.append(f"{stage.epochs:g} epoch{'s' * (stage.epochs != 1)}")
    said += [stage.schedule] if stage.schedule else []
    if stage.warmup:
        said.append(f"warm-up {stage.warmup:g} steps" if stage.warmup >= 1 else f"warm-up {100 * stage.warmup:g} %")
    said += [stage.optimizer] if stage.optimizer != "adamw" else []
    return ", ".join(said)


def stages_text(stages: Stages) -> str:
    """The stages in a table, with their sources and notes below."""
    head = f"{stages.name}{f' ({stages.source})' if stages.source else ''}"
    rows = [(stage.name, what_trains(stage.strategy), how_long(stage), stage.source) for stage in stages]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [
        "  ".join([f"{i + 1}", *(row[k].ljust(widths[k]) for k in range(3)), row[3]]).rstrip()
        for i, row in enumerate(rows)
    ]
    notes = [f"· {stage.name}: {note}" for stage in stages for note in stage.notes]
    return "\n".join(printable(line) for line in [head, *lines, *notes])
