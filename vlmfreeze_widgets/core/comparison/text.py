"""A board in words: the sentence, the table for print and for a notebook. The value itself is in ``core.comparison.board``."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from ..language.format import count, listed, printable, seconds, size
from ..language.phrase import Phrase, joined, say, say_count

if TYPE_CHECKING:
    from .board import Board
    from .paired_difference import Difference

_HEADS = (
    "place", "contender", "{measured}", "behind the best", "peak memory", "per step", "trainable", "forgot (KL)", "steps"
)  # fmt: skip
_FRONT = "◆"


def sentence(board: Board) -> Phrase:
    """ "both leads. Next comes projector: its held-out loss is higher than that of both by 0.12 (0.08 to 0.16)." """
    order = sorted(board.places, key=lambda n: (board.places[n], board.loss(n)))
    failed = [printable(e.name) for e in board.entries if e.state == "failed"]
    sentences: list[Phrase] = []
    if not order:
        sentences.append(say("No contender has a result."))
    else:
        first = [n for n in order if board.places[n] == 1]
        rest = [n for n in order if board.places[n] > 1]
        names = listed([printable(n) for n in first])
        if len(first) > 1:
            equal = all(_call(board, first[0], n) == "equal" for n in first[1:])
            sentences.append(
                say("{names} are equal, number for number.", names=names)
                if equal
                else say("{names} are too close to call.", names=names)
            )
        else:
            sentences.append(
                say("{name} leads.", name=names) if rest else say("{name} is the only one with a result.", name=names)
            )
        if rest:
            sentences.append(_next(board, rest[0], first[0]))
    if failed:
        sentences.append(say("{names} failed.", names=listed(failed)))
    return joined(sentences, " ")


def _next(board: Board, name: str, best: str) -> Phrase:
    behind = board.difference(name, best)
    measured = say("held-out loss") if board.measured == "held-out loss" else say("training loss")
    values = {"name": printable(name), "loss": measured, "best": printable(best)}
    if behind is None:
        return say("Next comes {name}: its {loss} is higher than that of {best}.", **values)
    return say("Next comes {name}: its {loss} is higher than that of {best} by {gap}.", **values, gap=_gap(behind))


def _call(board: Board, a: str, b: str) -> str:
    found = board.difference(a, b)
    return "too close to call" if found is None else found.call


def _gap(behind: Difference) -> str:
    if not math.isfinite(behind.low):
        return say("{mean} (one number each: no interval)", mean=f"{behind.mean:.3g}")
    return say(
        "{mean} ({low} to {high})", mean=f"{behind.mean:.3g}", low=f"{behind.low:.3g}", high=f"{behind.high:.3g}"
    )


def cells(board: Board) -> tuple[list[str], list[list[str]]]:
    """Heads, and a row of text per contender, the best first."""
    has_kl = any(e.retention is not None for e in board.entries)
    heads = [h.format(measured=board.measured) for h in _HEADS]
    rows = []
    for row in board.rows():
        entry = board[row["name"]]
        behind: Difference | None = row["behind_best"]
        gap = "" if behind is None else _gap(behind) if behind.call == "higher" else behind.call
        memory = "" if entry.memory_bytes is None else size(entry.memory_bytes)
        prefix = "" if entry.memory_is_measured or not memory else "≈ "
        rows.append(
            [
                ("" if row["place"] is None else str(row["place"])) + (f" {_FRONT}" if row["on_front"] else ""),
                printable(entry.name) + ("" if entry.state == "finished" else f" ({entry.state})"),
                "" if row["loss"] is None else f"{row['loss']:.4g}",
                gap,
                prefix + memory,
                "" if entry.seconds is None else seconds(entry.seconds),
                count(entry.trainable_params),
                "" if entry.retention is None else f"{entry.retention:.3g}",
                str(entry.steps),
            ]
        )
    if not has_kl:
        at = _HEADS.index("forgot (KL)")
        heads, rows = heads[:at] + heads[at + 1 :], [r[:at] + r[at + 1 :] for r in rows]
    return heads, rows


def footnotes(board: Board) -> list[str]:
    """What the signs mean, and what a reader must know."""
    seeds = max((len(e.runs) for e in board.entries), default=0)
    with_retention = any(e.retention is not None for e in board.entries)
    front = (
        say("{sign} on the Pareto front of loss, memory, time, parameters and retention.", sign=_FRONT)
        if with_retention
        else say("{sign} on the Pareto front of loss, memory, time, parameters.", sign=_FRONT)
    )
    intervals = say(
        "Intervals: {level} for all pairs together, over {seeds} and {parts}; differences below {margin} of the "
        "loss are not called.",
        level=f"{board.level:.0%}", seeds=say_count(seeds, "{n} seed", "{n} seeds"),
        parts=say_count(len(board.weights), "{n} part of the data", "{n} parts of the data"),
        margin=f"{board.margin:.1%}",
    )  # fmt: skip
    lines: list[str] = [joined([front, intervals], " ")]
    if any(e.memory_bytes is not None and not e.memory_is_measured for e in board.entries):
        lines.append(say("≈ estimated by the cost model, not measured."))
    lines += [f"{printable(e.name)}: {printable(e.note)}" for e in board.entries if e.note]
    return lines + [note if isinstance(note, Phrase) else printable(note) for note in board.notes]


def board_text(board: Board) -> str:
    """The sentence, an aligned table, the notes."""
    heads, rows = cells(board)
    widths = [max(len(r[i]) for r in [heads, *rows]) for i in range(len(heads))]
    lines = ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]]
    return "\n".join([board.sentence, "", *lines, "", *footnotes(board)])


def board_html(board: Board, head: str) -> str:
    """The same for a notebook, under the given sentence: self-contained, no scripts, all text escaped."""
    heads, rows = cells(board)
    td = '<td style="text-align:left;padding:2px 12px 2px 0">'
    top = "".join(f'<th scope="col" style="text-align:left;padding:2px 12px 2px 0">{escape(h)}</th>' for h in heads)
    body = "".join(f"<tr>{''.join(f'{td}{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    notes = "".join(f'<div style="opacity:.75">{escape(line)}</div>' for line in footnotes(board))
    return (
        f'<div style="font:13px system-ui,sans-serif"><div><b>{escape(head)}</b></div>'
        f'<table style="border-collapse:collapse;margin:6px 0"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
        f"{notes}</div>"
    )
