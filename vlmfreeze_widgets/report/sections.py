"""The sections of a report as markup: facts, verdicts, proof, cost, answers, how to reproduce. Every text is escaped."""

from __future__ import annotations

import pprint
import time
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from ..core.evidence.freeze_proof import NAMES
from ..core.history.history import History
from ..core.history.html import sentence
from ..core.language.format import count, seconds, share, size
from ..core.tree.components import LABELS
from .content import Content

_SIGNS = {"ok": "✓", "warning": "!", "failure": "✗", "pending": "…"}


def head(content: Content) -> str:
    """Title, sentence, facts, what a reader must know."""
    model, history = content.model, content.history
    facts = [str(model.get(name)) for name in ("class", "dtype", "device") if model.get(name)]
    if model.get("total_params"):
        trained, total = int(model.get("trainable_params", 0)), int(model["total_params"])
        facts.append(f"{count(trained)} of {count(total)} parameters train ({share(trained, total)})")
    if content.began is not None:
        facts.append(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(content.began)))
    if content.name:
        facts.append(content.name)
    state = [part for part in (content.phase, sentence(history) if len(history) else "", content.message) if part]
    notes = [*history.tainted, *history.notes]
    return (
        f"<header><h1>{escape(content.title)}</h1><p class='vf-sentence'>{escape(content.sentence)}</p>"
        f"<p class='vf-muted'>{escape(' · '.join(facts))}</p>"
        f"{_p(' · '.join(state)) if state else ''}{''.join(_p(f'! {note}') for note in notes)}</header>"
    )


def verdicts(content: Content) -> str:
    """One line per component."""
    if not content.verdicts:
        return ""
    lines = "".join(
        f"<li data-status='{escape(v.status)}'><b>{_SIGNS.get(v.status, '')} {escape(v.label)}</b> {escape(v.text)}</li>"
        for v in content.verdicts
    )
    return _section("Does it really train?", f"<ul>{lines}</ul>")


def proof(content: Content) -> str:
    """How many frozen tensors changed, and how that was found."""
    found = content.proof
    if not found or not found.get("frozen"):
        return ""
    changed = list(found["changed"])
    how = f"{NAMES.get(found['algorithm'], found['algorithm'])} of {size(found['bytes'])} before and after"
    names = f": {', '.join(changed[:8])}" if changed else ""
    status = "failure" if changed else "ok"
    text = f"{len(changed)} of {found['frozen']} frozen tensors changed{names}"
    line = f"<p data-status='{status}'><b>{_SIGNS[status]} {escape(text)}</b> ({escape(how)})</p>"
    rows = [
        (LABELS.get(name, name), f"{pair[1]} of {pair[0]}")
        for name, pair in found.get("by_component", {}).items()
        if pair[0]
    ]
    return _section("Proof that frozen means frozen", line + (_table(("component", "changed"), rows) if rows else ""))


def cost(content: Content) -> str:
    """The estimate next to what was measured."""
    found = content.cost
    measured = next((r.memory_bytes for r in reversed(content.history) if r.memory_bytes), None)
    taken = [r.seconds for r in content.history]
    speed = f"{seconds(sorted(taken)[len(taken) // 2])} per step (median)" if taken else ""
    if not found:
        lines = [speed, f"{size(measured)} at most on the device" if measured else ""]
        return _section("Cost", "".join(_p(line) for line in lines if line)) if any(lines) else ""
    least = "at least " if found["is_bound"] else ""
    sentences = [
        f"Estimated: {least}{size(found['peak_bytes'])} at the worst moment, {found['rows']} rows per micro-batch"
    ]
    if found["is_bound"]:
        sentences[0] = f"Estimated from the plan alone: {least}{size(found['peak_bytes'])}; activations come on top"
    if measured:
        sentences.append(f"Measured: {size(measured)}")
    if speed:
        sentences.append(speed)
    parts = [
        (name, size(nbytes), share(nbytes, found["peak_bytes"])) for name, nbytes in found["parts"].items() if nbytes
    ]
    held = [
        (LABELS.get(name, name), size(sum(held.values())))
        for name, held in found["by_component"].items()
        if any(held.values())
    ]
    tables = (
        f"<div class='vf-two'>{_table(('part', 'bytes', 'share'), parts)}{_table(('component', 'bytes'), held)}</div>"
    )
    return _section("Cost", _p("; ".join(sentences)) + tables)


def answers(content: Content) -> str:
    """The model's answers before and at the end."""
    history = content.history
    if not history.questions or not history.answers:
        return ""
    before, now = history.answers[0], history.answers[-1]
    rows = [
        (prompt, old, new, wanted)
        for (prompt, wanted), old, new in zip(history.questions, before.texts, now.texts, strict=False)
    ]
    return _section("Answers", _table(("prompt", "before", f"after step {now.step}", "wanted"), rows))


def looks(content: Content) -> str:
    """The steps at which held-out data were looked at, as numbers: for paper, and where scripts are off."""
    found = [r for r in content.history if r.eval_loss is not None or r.step == len(content.history) or r.step == 1]
    if not found:
        return ""
    rows = [
        (str(r.step), f"{r.loss:.4g}", "" if r.eval_loss is None else f"{r.eval_loss:.4g}", f"{r.grad_norm:.3g}",
         "" if r.retention is None else f"{r.retention.kl:.3g}")
        for r in _some(found)
    ]  # fmt: skip
    names = ("step", "loss", "held-out loss", "gradient norm", "KL on text alone")
    if not any(row[4] for row in rows):
        return _section("Numbers", _table(names[:4], [row[:4] for row in rows]))
    return _section("Numbers", _table(names, rows))


def reproduce(content: Content) -> str:
    """Code, weights, data and releases."""
    history = content.history
    if not history.strategy:
        return ""
    settings = f"settings = vf.BurstSettings.from_dict({_code(history.settings)})\n" if history.settings else ""
    given = ", settings=settings" if settings else ""
    code = (
        f"import vlmfreeze_widgets as vf\n\nstrategy = vf.Strategy.from_dict({_code(history.strategy)})\n{settings}"
        f"result = vf.Burst(model, strategy, batches{given}).run()\n"
    )
    facts = []
    if content.model.get("identity"):
        facts.append(("weights before", str(content.model["identity"])))
    if content.data.get("sha256"):
        facts.append(("data of the first step", f"{content.data['sha256']}, {content.data.get('rows')} rows"))
    if history.settings.get("seed") is not None:
        facts.append(("seed", str(history.settings["seed"])))
    facts += [(name, str(release)) for name, release in content.versions.items()]
    table = _table(("what", "value"), facts) if facts else ""
    return _section("How to reproduce", f"<pre>{escape(code)}</pre>{table}")


def _some(records: list[Any], most: int = 30) -> Iterable[Any]:
    """At most so many, evenly, with the last."""
    each = max(1, -(-len(records) // most))
    kept = records[::each]
    return kept if kept[-1] is records[-1] else [*kept, records[-1]]


def _code(value: Mapping[str, Any]) -> str:
    return pprint.pformat(dict(value), indent=1, width=100, sort_dicts=False)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _p(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(names: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    top = "".join(f"<th scope='col'>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def thinned(history: History, most: int) -> tuple[list[Any], int]:
    """At most about so many records, evenly, with the last and every held-out look; and of how many steps one is drawn."""
    records = list(history)
    each = max(1, -(-len(records) // most))
    last = len(records) - 1
    looked = sum(r.eval_loss is not None for r in records)
    kept = [
        r for i, r in enumerate(records)
        if i % each == 0 or i == last or (looked <= most and r.eval_loss is not None)
    ]  # fmt: skip
    return kept, each
