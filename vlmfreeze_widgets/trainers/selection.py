"""What a trainer would train, as a value: names, adapters and rates; how it differs from a plan; and what import and export
return. The rules that fill it are in the trainers' own files.

Long because a selection, how two of them differ, and what carries one in and out are read together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..core.atomic_files import write_new_files
from ..core.errors import CannotSave
from ..core.language.format import rate
from ..core.strategy.plan import Plan
from ..core.strategy.strategy import Strategy
from ..core.strategy.tuning import Lora
from ..core.tree.components import LABELS
from ..core.tree.tree import ModuleTree

_SHOWN = 3


@dataclass(frozen=True)
class Selection:
    """What trains under a trainer's settings, found by its rule.

    Attributes:
        trainable: Base-parameter names that train in full, the first name of a shared tensor.
        lora: Module path (or stacked parameter name) -> its adapter.
        lr: Name, or "<module>.lora_A" / ".lora_B", -> learning rate. What trains and is not here is in no optimizer.
        copied: Modules that train as a full copy beside the frozen original (PEFT's ``modules_to_save``).
        tied_copies: Whether copies of modules that share a tensor share one copy of it (PEFT's ``ensure_weight_tying``).
        notes: Quirks of the trainer that these settings meet.
        inexact: What the trainer trains otherwise than any selection on this tree can say, in sentences.
        decay: Names as in ``lr`` -> weight decay; empty where the trainer's rule is not known, or it has none.
        named: Places of adapters whose parameters the settings name themselves (``target_parameters``).
    """

    trainable: frozenset[str] = frozenset()
    lora: Mapping[str, Lora] = field(default_factory=dict)
    lr: Mapping[str, float] = field(default_factory=dict)
    copied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tied_copies: bool = False
    inexact: tuple[str, ...] = ()
    decay: Mapping[str, float] = field(default_factory=dict)
    named: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that trains: parameter names, then adapters as "<module>.lora_A" and ".lora_B"."""
        return (*sorted(self.trainable), *(f"{path}.{side}" for path in self.lora for side in ("lora_A", "lora_B")))

    def at_rate(self, lr: float) -> Selection:
        """The same with one learning rate for all that trains."""
        return replace(self, lr=dict.fromkeys(self.names, lr))

    def noting(self, *notes: str) -> Selection:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def selection_of(plan: Plan) -> Selection:
    """A plan in the form in which it is compared with a trainer's choice."""
    lr = {name: group.lr for group in plan.optimizer_groups for name in group.params}
    decay = {name: group.weight_decay for group in plan.optimizer_groups for name in group.params}
    return Selection(plan.trainable, dict(plan.lora_targets), lr, decay=decay)


def differences(wanted: Selection, found: Selection, tree: ModuleTree) -> list[str]:
    """What a trainer does otherwise than wanted, in sentences; none when parameters, adapters and rates agree.

    Args:
        wanted: From ``selection_of(plan)``.
        found: From a trainer's ``simulate``.
        tree: Both were made on it.
    """
    notes: list[str] = []
    notes += _grouped("is trained in full and should not be", found.trainable - wanted.trainable, tree)
    notes += _grouped("should train in full and does not", wanted.trainable - found.trainable, tree)
    notes += _grouped("carries LoRA and should not", found.lora.keys() - wanted.lora.keys(), tree)
    notes += _grouped("should carry LoRA and does not", wanted.lora.keys() - found.lora.keys(), tree)
    both = wanted.lora.keys() & found.lora.keys()
    for here, there in {(_values(wanted.lora[p]), _values(found.lora[p])) for p in both}:
        if here != there:
            at = [p for p in both if (_values(wanted.lora[p]), _values(found.lora[p])) == (here, there)]
            notes += _grouped(f"has {_words(there)} instead of {_words(here)}", at, tree)
    common = set(wanted.names) & set(found.names)
    rates: dict[tuple[float, float | None], list[str]] = {}
    for name in common:
        pair = (wanted.lr[name], found.lr.get(name))
        if not _same(*pair):
            rates.setdefault(pair, []).append(name)
    for (ours, theirs), names in rates.items():
        what = "is in no optimizer" if theirs is None else f"learns at {rate(theirs)}"
        notes += _grouped(f"{what} instead of {rate(ours)}", names, tree)
    return notes + ([] if wanted.copied else _torn(found, tree)) + list(found.inexact)


_AS_SEEN_BY_AN_IMPORT = {
    "is trained in full and should not be": "trains in full there and not here",
    "should train in full and does not": "trains in full here and not there",
    "carries LoRA and should not": "carries LoRA there and not here",
    "should carry LoRA and does not": "carries LoRA here and not there",
}


def as_seen_by_an_import(line: str) -> str:
    """A line of ``differences`` with the trainer "there" and the strategy that was read "here"."""
    for export, note in _AS_SEEN_BY_AN_IMPORT.items():
        line = line.replace(export, note)
    return line


def import_note(line: str) -> str:
    """A line of ``differences`` as what an import does not keep."""
    return f"Not kept: {as_seen_by_an_import(line)}."


def decay_differences(wanted: Selection, found: Selection, tree: ModuleTree) -> list[str]:
    """Where a trainer's weight decay is another than wanted, in sentences; none where one of both says nothing of decay.

    Args:
        wanted: From ``selection_of(plan)``.
        found: From a trainer's ``simulate``.
        tree: Both were made on it.
    """
    apart: dict[tuple[float, float], list[str]] = {}
    for name in wanted.decay.keys() & found.decay.keys():
        pair = (wanted.decay[name], found.decay[name])
        if not _same(*pair):
            apart.setdefault(pair, []).append(name)
    lines = []
    for (ours, theirs), names in sorted(apart.items()):
        lines += _grouped(f"has weight decay {theirs:g} instead of {ours:g}", names, tree)
    return lines


def _torn(found: Selection, tree: ModuleTree) -> list[str]:
    """Where a tensor that several modules share trains as a copy: the copies learn apart (peft#2777, #2864)."""
    if found.tied_copies:
        return []
    lines = []
    for owner, names in tree.aliases.items():
        holders = {name.rpartition(".")[0] for name in names}
        copies = {h for h in holders if any(h == path or h.startswith(f"{path}.") for path in found.copied)}
        if copies and owner in found.trainable:
            others = ", ".join(sorted(holders - copies))
            rest = f"{others} keeps the frozen original" if others else "each learns its own"
            lines.append(f"{', '.join(sorted(holders))} share one tensor; a copy trains instead and {rest} (peft#2777)")
    return lines


def _grouped(what: str, names: Iterable[str], tree: ModuleTree) -> list[str]:
    """One sentence per component: "head: 1 tensor is trained in full and should not be (lm_head.weight)"."""
    held: dict[str, list[str]] = {}
    for name in sorted(names):
        held.setdefault(tree.component_of(name), []).append(name)
    lines = []
    for component, found in held.items():
        shown = ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
        lines.append(f"{LABELS.get(component, component)}: {what}: {len(found)} ({shown})")
    return lines


def _values(lora: Lora) -> tuple[int, float, float, bool, bool]:
    return (lora.rank, float(lora.alpha), float(lora.dropout), lora.use_dora, lora.use_rslora)


def _words(values: tuple[int, float, float, bool, bool]) -> str:
    rank, alpha, dropout, dora, rslora = values
    kind = " ".join(["LoRA", *(["with DoRA"] if dora else []), *(["with rsLoRA"] if rslora else [])])
    return f"{kind} r{rank}, alpha {alpha:g}, dropout {dropout:g}"


def _same(ours: float, theirs: float | None) -> bool:
    return theirs is not None and abs(ours - theirs) <= 1e-9 * max(abs(ours), abs(theirs))


class Imported(Strategy):
    """A trainer's settings as a strategy, and what should be known about them.

    It resolves on its tree to exactly what the trainer trains, rates included, unless a note says otherwise.

    Attributes:
        notes: Quirks of the trainer, what the settings leave open, what was not looked at.
        settings: The other settings, as given: epochs, batch, schedule, precision, data.
        trainer: Whose settings they are.
    """

    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    trainer: str

    def __init__(
        self,
        strategy: Strategy,
        notes: tuple[str, ...] = (),
        settings: Mapping[str, Any] | None = None,
        trainer: str = "",
    ) -> None:
        super().__init__(strategy.rules, strategy.lr, strategy.weight_decay, strategy.name)
        object.__setattr__(self, "notes", tuple(notes))
        object.__setattr__(self, "settings", dict(settings or {}))
        object.__setattr__(self, "trainer", trainer)

    @property
    def strategy(self) -> Strategy:
        """The strategy alone."""
        return Strategy(self.rules, self.lr, self.weight_decay, self.name)

    def __str__(self) -> str:
        rules = ", ".join(f"{target} {tuning}" for target, tuning in self.rules.items())
        return "\n".join([f"{self.trainer}: {rules}", *(f"  note: {note}" for note in self.notes)])


@dataclass(frozen=True)
class Exported:
    """A strategy as a trainer's settings.

    Attributes:
        files: Name -> text.
        exact: Whether the trainer's own rule, simulated on these settings, selects what the plan selects at the plan's rates.
        notes: What the trainer does otherwise, and what else the user should know.
        trainer: For whom.
        settings: What decides, as the trainer's own flags.
    """

    files: Mapping[str, str]
    exact: bool
    notes: tuple[str, ...]
    trainer: str
    settings: Mapping[str, Any]

    def save(self, folder: str | Path) -> list[Path]:
        """Writes the files into a folder, all or none; it is made if it is not there. Returns their paths.

        Raises:
            CannotSave: One of the files is there already, or the folder cannot be written; nothing is written over.
        """
        folder = Path(folder)
        try:
            write_new_files(folder, {name: partial(_write, text) for name, text in self.files.items()})
        except (OSError, ValueError) as error:
            raise CannotSave(
                f"The settings for {self.trainer} cannot be written.",
                expected="a folder in which these files are not there yet",
                found=str(error),
                remedy="Choose another folder; nothing was written over.",
            ) from error
        return [folder / name for name in self.files]

    def __str__(self) -> str:
        head = f"{self.trainer}: {'exact' if self.exact else 'not the same'}"
        return "\n".join([head, *(f"  note: {n}" for n in self.notes), *self.files.values()])


def _write(text: str, path: Path) -> None:
    path.write_bytes(text.encode())


def most_common_rate(lr: Mapping[str, float]) -> float | None:
    """The rate that most names have; None when nothing trains."""
    return Counter(lr.values()).most_common(1)[0][0] if lr else None
