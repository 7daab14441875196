"""What the page is shown of the data: the trait ``data_state`` as tests/wire/README.md fixes it. Plain data and bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .messages import VERSION

_TEXT_LIMIT = 8_000  # characters of one row


def data_state(
    questions: Sequence[Any],
    preview: Any | None,  # session.Preview
    png: Callable[[Any], bytes],
    *,
    can_preview: bool,
) -> dict[str, Any]:
    """The trait ``data_state``.

    Args:
        questions: ``engine.evidence.answers.Question`` values.
        preview: A ``session.Preview``; None before the first.
        png: Makes a small picture of a PIL one.
        can_preview: Whether rows can be asked for.
    """
    return {
        "v": VERSION,
        "questions": [
            {"prompt": q.prompt, "target": q.target, "picture": None if q.picture is None else png(q.picture)}
            for q in questions
        ],
        "can_preview": can_preview,
        "preview": None if preview is None else _preview(preview, png),
    }


def _preview(preview: Any, png: Callable[[Any], bytes]) -> dict[str, Any]:
    return {
        "number": preview.number,
        "first": preview.first,
        "report": preview.report,
        "rows": [
            {
                "place": str(row.place),
                "spans": _spans(row.spans),
                "pictures": [png(picture) for picture in row.pictures],
            }
            for row in preview.rows
        ],
    }


def _spans(spans: Sequence[Any]) -> list[list[Any]]:
    """[text, learned] of neighbouring tokens of one kind, joined and cut."""
    joined: list[list[Any]] = []
    left = _TEXT_LIMIT
    for text, learned in spans:
        if left <= 0:
            joined.append(["…", False])
            break
        if joined and joined[-1][1] == bool(learned):
            joined[-1][0] += text[:left]
        else:
            joined.append([text[:left], bool(learned)])
        left -= len(text)
    return joined
