"""Looks at an import or an export before it is done: the same roads as ``vf.import_strategy`` and ``vf.export``, with what differs
place by place. Nothing is applied and nothing is written here.
"""

from __future__ import annotations

from typing import Any

from ..core.data_origin import DataOrigin
from ..core.errors import BadConfig
from ..core.language.issue_links import linked
from ..core.strategy.plan import Plan
from ..core.strategy.resolve import resolve
from ..core.strategy.selection_diff import planned_choice, training_diff
from ..core.strategy.text import sentence
from ..core.wire.handover import ExportPreview, ImportPreview
from .export_request import export_request
from .registry import TRAINERS, export, import_strategy
from .selection import Exported, differences, selection_of
from .sources import read_text


def trainers() -> tuple[tuple[str, str], ...]:
    """(key, name for people) of every trainer, in the order in which they are offered."""
    return tuple((key, trainer.name) for key, trainer in TRAINERS.items())


def preview_import(text: str, plan: Plan, trainer: str = "") -> ImportPreview:
    """What a trainer's settings would change.

    Args:
        text: YAML, JSON or a command line. Never a path: pasting a text requests no file to be read.
        plan: As it is now.
        trainer: Whose settings; "" finds it from the flags.

    Raises:
        BadConfig: They cannot be read, or it is not plain whose they are.
        TrainerRefuses: The trainer itself would stop, and why.
        VlmFreezeError: The strategy does not fit the tree.
    """
    found = import_strategy(read_text(text), plan.tree, trainer or None)
    wanted = resolve(found.strategy, plan.tree)
    return ImportPreview(
        trainer=next(key for key, known in TRAINERS.items() if known.name == found.trainer),
        name=found.trainer,
        strategy=found.strategy,
        sentence=sentence(wanted),
        trainable_params=(plan.trainable_params, wanted.trainable_params),
        differences=training_diff(planned_choice(plan), planned_choice(wanted), plan.tree),
        notes=tuple(linked(note) for note in found.notes),
        settings=found.settings,
        warnings=tuple(w.message for w in wanted.warnings),
    )


def preview_export(
    plan: Plan,
    to: str,
    settings: Any = None,  # BurstSettings
    rows: int | None = None,
    data: DataOrigin | None = None,
) -> ExportPreview:
    """The files for a trainer, and where it trains something else than the plan.

    Args:
        plan: As it is now.
        to: For whom.
        settings: Of a burst, which the files tell as far as the trainer has words for them.
        rows: Of a micro-batch.
        data: Where the rows in use lie. A trainer whose files can name them gets them; else a note says that it does not.

    Raises:
        NotExpressible: The trainer has no settings at all for this plan.
        PlanRefused: The plan cannot be applied anywhere.
        BadConfig: No such trainer.
    """
    done, data_notes = _with_data(plan, to, settings, rows, data)
    key = next(key for key, known in TRAINERS.items() if known.name == done.trainer)
    # Under the names of a release that this trainer takes.
    plan = export_request(plan, TRAINERS[key].takes).plan
    found = TRAINERS[key].simulate(done.settings, plan.tree)
    apart = training_diff(planned_choice(plan), found, plan.tree)
    # What the differences say place by place need not be said again.
    differing = set(differences(selection_of(plan), found, plan.tree)) if apart else set()
    return ExportPreview(
        trainer=key,
        name=done.trainer,
        files=done.files,
        exact=done.exact,
        differences=apart,
        notes=tuple(linked(note) for note in (*data_notes, *done.notes) if note not in differing),
    )


def _with_data(
    plan: Plan,
    to: str,
    settings: Any,  # BurstSettings
    rows: int | None,
    data: DataOrigin | None,
) -> tuple[Exported, tuple[str, ...]]:
    """The export with the data in use where that can be written, and a note where it cannot."""
    done = export(plan, to=to, settings=settings, rows=rows)
    if data is None:
        return done, ()
    why = "its files name no data"
    if next(known for known in TRAINERS.values() if known.name == done.trainer).takes_data:
        try:
            return export(plan, to=to, settings=settings, rows=rows, **data.settings()), ()
        except BadConfig as error:
            why = f"it does not read such rows ({error.found})"
    return done, (f"{done.trainer} is not told of the data in use, {data.path}: {why}.",)
