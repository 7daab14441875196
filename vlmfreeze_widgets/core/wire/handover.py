"""What the page is shown of an import or an export before it is done, as values and on the wire (tests/wire/README.md). The looks
are made in ``trainers.previews``; who may apply or save one is in ``session.handover``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..language.issue_links import Note
from ..strategy.selection_diff import Difference
from ..strategy.strategy import Strategy
from ..tree.components import LABELS
from ..tree.tree import ModuleTree
from .messages import VERSION
from .presets import preset_groups

_PLACES_SHOWN = 8  # of one difference
_NODES_SHOWN = 4096  # of one difference; more than a map can light up
_VALUE_SHOWN = 200  # characters of a setting that is not used here


@dataclass(frozen=True)
class ImportPreview:
    """What a trainer's settings would make of the present strategy.

    Attributes:
        trainer: Whose settings, as in ``vf.import_strategy(..., trainer=)``.
        name: The same for people.
        strategy: What they say.
        sentence: The strategy in one sentence.
        trainable_params: Now, and with it.
        differences: From the present strategy to it.
        notes: What the trainer does otherwise than it looks.
        settings: What of them is not about which parts train.
        warnings: Messages of the plan that it would be.
    """

    trainer: str
    name: str
    strategy: Strategy
    sentence: str
    trainable_params: tuple[int, int]
    differences: tuple[Difference, ...]
    notes: tuple[Note, ...]
    settings: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportPreview:
    """The files that hand a strategy to a trainer, and what it would train by them.

    Attributes:
        trainer: For whom, as in ``vf.export(..., to=)``.
        name: The same for people.
        files: Name -> text.
        exact: Whether the trainer trains just this, at just these rates.
        differences: From the plan to what the trainer trains.
        notes: In words, what should be known.
    """

    trainer: str
    name: str
    files: Mapping[str, str]
    exact: bool
    differences: tuple[Difference, ...]
    notes: tuple[Note, ...]


def handover_state(trainers: Iterable[tuple[str, str]], folder: str, tree: ModuleTree) -> dict[str, Any]:
    """The trait ``handover_state``, which does not change with the strategy.

    Args:
        trainers: As (key, name for people).
        folder: Below the working folder, proposed for saving.
        tree: Whose presets are offered.
    """
    return {
        "v": VERSION,
        "trainers": [{"key": key, "name": name} for key, name in trainers],
        "folder": folder,
        "presets": preset_groups(tree),
    }


def import_reply(look: ImportPreview, tree: ModuleTree) -> dict[str, Any]:
    """The result of the request ``import_preview``."""
    return {
        "trainer": look.trainer,
        "name": look.name,
        "sentence": look.sentence,
        "trainable_params": list(look.trainable_params),
        "differences": _differences(look.differences, tree),
        "notes": _notes(look.notes),
        "settings": [[name, _short(value)] for name, value in look.settings.items()],
        "warnings": list(look.warnings),
    }


def export_reply(look: ExportPreview, tree: ModuleTree, token: str) -> dict[str, Any]:
    """The result of the request ``export_preview``; ``token`` is good for saving exactly these files once."""
    return {
        "trainer": look.trainer,
        "name": look.name,
        "exact": look.exact,
        # What lies in a folder of its own is the same for every plan: told, saved, but not sent again with every click.
        "files": [{"name": name, "text": text} for name, text in look.files.items() if "/" not in name],
        "beside": [name for name in look.files if "/" in name],
        "differences": _differences(look.differences, tree),
        "notes": _notes(look.notes),
        "token": token,
    }


def _differences(differences: Sequence[Difference], tree: ModuleTree) -> list[dict[str, Any]]:
    index = {node.path: i for i, node in enumerate(tree.nodes)} if differences else {}
    return [
        {
            "component": d.component,
            "label": LABELS.get(d.component, d.component),
            "kind": d.kind,
            "before": d.before,
            "after": d.after,
            "tensors": d.tensors,
            "params": d.params,
            "places": list(d.places[:_PLACES_SHOWN]),
            "more": max(0, len(d.places) - _PLACES_SHOWN),
            "nodes": [index[path] for path in d.nodes if path in index][:_NODES_SHOWN],
        }
        for d in differences
    ]


def _notes(notes: Iterable[Note]) -> list[list[list[str]]]:
    return [[[words.text, words.url] for words in note] for note in notes]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}…"
