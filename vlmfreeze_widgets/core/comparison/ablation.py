"""Which part pays: the corners of (frozen / full / LoRA) per component, and what each tuning of each part is worth.

The worth of a tuning is a paired difference: the same corner with the part trained and with it frozen, averaged over what the other
parts do. Running the corners is in ``engine.comparison.ablation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from ..language.phrase import Phrase, joined, say
from ..strategy.tuning import Tuning, as_tuning
from ..tree.components import SHORT_LABELS
from .board import Board
from .entry import paired_table
from .paired_difference import Difference, difference


def corners(components: Sequence[str], tunings: Sequence[object]) -> dict[str, dict[str, Tuning]]:
    """Every choice of a tuning per component, but for the one in which all are frozen, by name.

    Args:
        components: Such as ("projector", "language_model").
        tunings: What each can be: "frozen", "full", "lora" or a Lora.

    Returns:
        Name -> rules; "projector full, LLM lora".
    """
    found: dict[str, dict[str, Tuning]] = {}
    for chosen in product([as_tuning(t) for t in tunings], repeat=len(components)):
        rules = dict(zip(components, chosen, strict=True))
        if any(t.kind != "frozen" for t in chosen):
            found[corner_name(rules)] = rules
    return found


def corner_name(rules: Mapping[str, Tuning]) -> str:
    """ "projector full, LLM lora": what trains, in the order of the components."""
    return ", ".join(f"{SHORT_LABELS.get(c, c)} {t.kind}" for c, t in rules.items() if t.kind != "frozen")


@dataclass(frozen=True)
class Worth:
    """What training one part in one way does to the loss, everything else equal.

    Attributes:
        component: The part.
        tuning: "full" or "lora".
        difference: Loss with it minus loss with it frozen.
        corners: How many pairs of corners it is averaged over.
    """

    component: str
    tuning: str
    difference: Difference
    corners: int


@dataclass(frozen=True)
class Ablation:
    """The result of ``vf.ablation``.

    Attributes:
        board: Of all corners.
        components: In their order.
        rules: Name of a corner -> component -> tuning.
    """

    board: Board
    components: tuple[str, ...]
    rules: Mapping[str, Mapping[str, Tuning]]

    @cached_property
    def worths(self) -> tuple[Worth, ...]:
        """Each part in each way, the most useful first."""
        kinds = sorted({t.kind for rules in self.rules.values() for t in rules.values()} - {"frozen"})
        wanted = [(c, k) for c in self.components for k in kinds]
        level = 1 - (1 - self.board.level) / max(1, len(wanted))
        found = [w for c, k in wanted if (w := self._worth(c, k, level)) is not None]
        return tuple(sorted(found, key=lambda w: w.difference.mean))

    def _worth(self, component: str, kind: str, level: float) -> Worth | None:
        by_corner = {tuple(t.kind for t in rules.values()): name for name, rules in self.rules.items()}
        at = self.components.index(component)
        tables: list[list[list[float]]] = []
        frozen_losses: list[float] = []
        for corner, name in by_corner.items():
            if corner[at] != kind or self.board[name].state == "failed":
                continue
            without = (*corner[:at], "frozen", *corner[at + 1 :])
            if without in by_corner:
                table = paired_table(self.board[name], self.board[by_corner[without]])
                loss = self.board.loss(by_corner[without])
            else:
                table, loss = self._against_start(name), self.board.loss_at_start(name)
            if table and loss is not None:
                tables.append(table)
                frozen_losses.append(loss)
        shapes = {(len(t), len(t[0])) for t in tables}
        if len(shapes) != 1:
            return None
        (seeds, parts) = shapes.pop()
        mean = [[sum(t[s][p] for t in tables) / len(tables) for p in range(parts)] for s in range(seeds)]
        weights = self.board.weights if len(self.board.weights) == parts else (1.0,) * parts
        margin = self.board.margin * abs(sum(frozen_losses) / len(frozen_losses))
        return Worth(component, kind, difference(mean, weights, level, margin), len(tables))

    def _against_start(self, name: str) -> list[list[float]]:
        """With all parts frozen nothing trains: that corner is the look before the first step."""
        return [
            [now - then for now, then in zip(run.looks[max(run.looks)], run.looks[0], strict=True)]
            for run in self.board[name].runs
            if 0 in run.looks
        ]

    @property
    def sentence(self) -> str:
        """Which part pays, and which does not, in plain words."""
        if not self.worths:
            return say("Nothing can be said: the corners have no loss in common.")
        paying = [w for w in self.worths if w.difference.call == "lower"]
        harming = [w for w in self.worths if w.difference.call == "higher"]
        idle = [w for w in self.worths if w not in paying and w not in harming]
        sentences: list[Phrase] = []
        if paying:
            best = paying[0]
            gain = _gain(best, self.board.measured)
            sentences.append(
                say("Training the {part} pays most: {gain}, all else equal.", part=_label(best), gain=gain)
            )
            sentences += [
                say("The {part} pays too: {gain}.", part=_label(w), gain=_gain(w, self.board.measured))
                for w in paying[1:]
            ]
        else:
            sentences.append(say("No part pays beyond doubt."))
        sentences += [
            say("The {part} harms: {gain}.", part=_label(w), gain=_gain(w, self.board.measured, "higher"))
            for w in harming
        ]
        if idle:
            sentences.append(say("Too close to call: {parts}.", parts=", ".join(_label(w) for w in idle)))
        return joined(sentences, " ")

    def rows(self) -> list[dict[str, Any]]:
        """One mapping per part and way, the most useful first."""
        return [
            {
                "component": w.component, "tuning": w.tuning, "difference": w.difference.mean, "low": w.difference.low,
                "high": w.difference.high, "call": w.difference.call, "corners": w.corners,
            }
            for w in self.worths
        ]  # fmt: skip

    def __str__(self) -> str:
        lines = [
            f"  {_label(w):<28} {w.difference}  over {w.corners} corner{'s' if w.corners != 1 else ''}"
            for w in self.worths
        ]
        return "\n".join([self.sentence, "", *lines, "", str(self.board)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.board._repr_html_(self.sentence)


def _label(worth: Worth) -> str:
    return (
        f"{SHORT_LABELS.get(worth.component, worth.component)} ({'LoRA' if worth.tuning == 'lora' else worth.tuning})"
    )


def _gain(worth: Worth, measured: str, word: str = "lower") -> str:
    one = worth.difference
    low, high = sorted((abs(one.low), abs(one.high)))
    return f"{measured} {abs(one.mean):.3g} {word} ({low:.3g} to {high:.3g})"
