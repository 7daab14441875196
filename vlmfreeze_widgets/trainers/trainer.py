"""What a trainer is to us, and the search for its settings that come nearest to a plan. The trainers themselves are in their own
files, the table of them in ``registry``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.errors import NotExpressible, TrainerRefuses
from ..core.tree.tree import ModuleTree
from .export_request import ExportRequest
from .flags import Flag
from .releases import ANY, Names, Takes, other_names
from .run_words import HF, RunWords
from .selection import Selection, as_seen_by_an_import, decay_differences, differences


@dataclass(frozen=True)
class Trainer:
    """One outside trainer.

    Attributes:
        name: For people.
        flags: What decides which parameters train, with its defaults.
        simulate: Flags and a tree -> what it trains.
        candidates: A plan -> settings that might do it, the plainest first.
        files: Settings, the plan, the user's own settings -> name and text.
        quirks: What of some settings is other than it looks.
        marks: Flags that few others have; they tell whose settings these are.
        takes: The releases of transformers with which it runs: its settings have to fit the names of each.
        run: Its words for optimizer, schedule and batch.
        loads: Types of models that it loads; none where it loads any.
        takes_data: Whether its files can name the data in use: ``data`` and ``image_root`` among a user's own settings.
        harmless: Flags of its own whose names look as if they selected what trains, and do not.
    """

    name: str
    flags: Mapping[str, Flag]
    simulate: Callable[[Mapping[str, Any], ModuleTree], Selection]
    candidates: Callable[[ExportRequest], Iterator[dict[str, Any]]]
    files: Callable[[Mapping[str, Any], ExportRequest, Mapping[str, Any]], dict[str, str]]
    quirks: Callable[[Mapping[str, Any], ModuleTree, Selection], list[str]]
    marks: tuple[str, ...]
    takes: Takes = ANY
    run: RunWords = HF
    loads: tuple[str, ...] = ()
    takes_data: bool = False
    harmless: tuple[str, ...] = ()


def nearest_settings(
    chosen: Trainer, wanted: ExportRequest, others: Mapping[str, Any]
) -> tuple[dict[str, Any], Selection, list[str]]:
    """The first of a trainer's candidates that is exact, else the one that differs in the fewest names.

    Exact is what trains the plan under every release of transformers that the trainer takes: names differ between them.

    Args:
        chosen: The trainer.
        wanted: The plan.
        others: The user's own settings; those that decide what trains win over the candidate's.

    Returns:
        Settings, what they select, and how that differs from the plan.

    Raises:
        NotExpressible: The trainer stops at each of them, or nothing trains.
    """
    best: tuple[int, dict[str, Any], Selection, list[str]] | None = None
    refusal: TrainerRefuses | None = None
    decisive = {name: value for name, value in others.items() if name in chosen.flags}
    seen: list[dict[str, Any]] = []
    candidates = chosen.candidates(wanted)
    while True:
        try:
            settings = {**next(candidates), **decisive}
        except StopIteration:
            break
        except TrainerRefuses as error:  # the model itself, before any setting
            refusal = error
            break
        if settings in seen:
            continue
        seen.append(settings)
        try:
            found = chosen.simulate(settings, wanted.tree)
        except TrainerRefuses as error:
            refusal = refusal or error
            continue
        wrong = differences(wanted.selection, found, wanted.tree)
        elsewhere, apart = _elsewhere(chosen, wanted, settings)
        if not wrong and not elsewhere:
            return settings, found, decay_differences(wanted.selection, found, wanted.tree)
        distance = _distance(wanted.selection, found) + apart
        if found.names and (best is None or distance < best[0]):
            best = (distance, settings, found, wrong or elsewhere)
    if best is None:
        raise NotExpressible(
            f"{chosen.name} cannot say this strategy.",
            expected=refusal.expected if refusal else "settings under which something trains",
            found=f"{refusal.problem} {refusal.found}" if refusal else "none",
            remedy="Choose another trainer, or change the strategy.",
        ) from refusal
    _, settings, found, wrong = best
    return settings, found, wrong + decay_differences(wanted.selection, found, wanted.tree)


def notes_on_rates(chosen: Trainer, wanted: ExportRequest, found: Selection, wrong: Sequence[str]) -> list[str]:
    """Why rates and decays of an export are other than wanted, where the trainer cannot say them."""
    notes = []
    faster = [path for path, lora in wanted.selection.lora.items() if lora.loraplus_lr_ratio is not None]
    alike = [p for p in faster if p in found.lora and found.lr.get(f"{p}.lora_A") == found.lr.get(f"{p}.lora_B")]
    if alike:
        where = "" if chosen.run.flags else " (peft.optimizers.create_loraplus_optimizer makes an optimizer with both)"
        notes.append(
            f"LoRA+ cannot be said to {chosen.name} for {len(alike)} adapters: lora_B learns at lora_A's rate{where}."
        )
    if any("has weight decay" in line for line in wrong) and 0.0 in found.decay.values():
        notes.append("That trainer spares biases and norms by its own rule and has one weight decay for the rest.")
    return notes


def _elsewhere(chosen: Trainer, wanted: ExportRequest, settings: Mapping[str, Any]) -> tuple[list[str], int]:
    """What settings train otherwise where a release of transformers has other names, in sentences; and how far that is."""
    notes: list[str] = []
    distance = 0
    for names, selection in wanted.elsewhere:
        try:
            found = chosen.simulate(settings, names.tree)
        except TrainerRefuses as error:
            notes.append(f"Under transformers {names.releases}: {error.problem}")
            distance += 1000 * len(selection.names)
            continue
        if lines := differences(selection, found, names.tree):
            notes += [f"Under transformers {names.releases}, whose names differ: {line}" for line in lines]
            distance += _distance(selection, found)
    return notes, distance


def read_elsewhere(chosen: Trainer, given: Mapping[str, Any], found: Selection, tree: ModuleTree) -> list[str]:
    """For which releases of transformers an import speaks, where the trainer takes others whose names for this model differ.

    Args:
        chosen: The trainer.
        given: The settings.
        found: What they select on the tree.
        tree: The model, under the names of one release.

    Returns:
        A sentence where the settings train otherwise under other names, or where none of the trainer's releases has the
        tree's; none where they train the same under every name.
    """
    others, own = other_names(tree, chosen.takes)
    notes = []
    for names in others:
        try:
            there = chosen.simulate(given, names.tree)
            apart = differences(_moved(found, names), there, names.tree)
        except TrainerRefuses as error:
            apart = [error.problem.rstrip(".")]
        if not apart and own:
            continue
        notes.append(
            f"Read by the names that this model has in transformers {names.here}"
            + ("" if own else f", with which {chosen.name} does not run")
            + f". With the names {names.releases} these settings train "
            + (f"otherwise: {'; '.join(map(as_seen_by_an_import, apart))}." if apart else "the same.")
        )
    return notes


def _moved(found: Selection, names: Names) -> Selection:
    """A selection under other names."""

    def rates(held: Mapping[str, float]) -> dict[str, float]:
        return {names.there(name): value for name, value in held.items()}

    return replace(
        found,
        trainable=frozenset(map(names.there, found.trainable)),
        lora={names.there(path): lora for path, lora in found.lora.items()},
        lr=rates(found.lr),
        copied=tuple(map(names.there, found.copied)),
        decay=rates(found.decay),
    )


def _distance(wanted: Selection, found: Selection) -> int:
    """Names that train in only one of both count most, then values of adapters and rates."""
    apart = set(wanted.names) ^ set(found.names)
    both = wanted.lora.keys() & found.lora.keys()
    values = sum((a := wanted.lora[p], b := found.lora[p]) and (a.rank, a.alpha) != (b.rank, b.alpha) for p in both)
    rates = sum(found.lr.get(name) != lr for name, lr in wanted.lr.items())
    return 1000 * len(apart) + values + rates
