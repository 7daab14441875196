"""Where the answers stand in a rendered conversation: from the first character that the model has to write to the end of turn.

The rule is generic and checked on every row. An answer begins where the template's own generation prompt ends (or where the
template's ``{% generation %}`` says), and it is accepted only if the text from there on is the row's answer, also when the
conversation is rendered without what follows it. What cannot be placed so is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .rows import ASSISTANT, BadRow, Message

Render = Callable[[Sequence[Message], bool], str]
"""(turns, whether the header of an answer follows) -> text."""


@dataclass(frozen=True)
class Span:
    """The characters of one answer.

    Attributes:
        start: First character.
        end: Character after the last, the end-of-turn token included.
        trained: False where the row takes the answer out of the loss.
        closed: Whether the template wrote an end-of-turn token.
    """

    start: int
    end: int
    trained: bool
    closed: bool


def find_answers(
    render: Render, messages: Sequence[Message], specials: Sequence[str], marked: Sequence[tuple[int, int]] = ()
) -> tuple[str, list[Span]]:
    """Renders a conversation and finds its answers.

    Args:
        render: Renders turns.
        messages: All of them.
        specials: Special tokens; those that directly follow an answer, inside its turn, are its end.
        marked: What the template itself marks as answers, where it does.

    Returns:
        The text, and one span per assistant turn.

    Raises:
        BadRow: An answer cannot be placed beyond doubt.
    """
    whole = render(messages, False)
    turns = [i for i, m in enumerate(messages) if m.role == ASSISTANT]
    own_marks = list(marked) if len(marked) == len(turns) else []
    ends = (
        re.compile(r"\s*(?:" + "|".join(map(re.escape, sorted(specials, key=len, reverse=True))) + ")+")
        if specials
        else None
    )
    spans: list[Span] = []
    for number, turn in enumerate(turns):
        answer = messages[turn].text.strip()
        until = render(messages[: turn + 1], False)
        if own_marks:
            start, at = _in_mark(whole, own_marks[number], answer)
        else:
            header, without_header = render(messages[:turn], True), render(messages[:turn], False)
            start, at = _after_header(whole, header, until, answer)
            # A template without a generation prompt writes the header of the answer with the answer.
            start = at if header == without_header else start
        stop = at + len(answer)
        if at < 0 or until[:stop] != whole[:stop] or (spans and start < spans[-1].end):
            raise BadRow("labels", f"the chat template does not write answer {number + 1} as the row has it")
        # Not past this turn: where a template closes no turn, the next token is the header of the next question.
        tail = until[stop : stop + shared(until[stop:], whole[stop:])]
        closing = ends.match(tail) if ends else None
        end = stop + closing.end() if closing else stop
        spans.append(Span(start, end, messages[turn].trained, closing is not None))
    return whole, spans


def _in_mark(whole: str, mark: tuple[int, int], answer: str) -> tuple[int, int]:
    start, end = mark
    at = whole.find(answer, start)
    return start, at if 0 <= at <= end else -1


def _after_header(whole: str, header: str, until: str, answer: str) -> tuple[int, int]:
    """(first character to be written, first character of the answer); the latter is -1 where it cannot be placed."""
    if whole.startswith(header):
        # Everything behind the generation prompt is for the model to write, an empty thought included.
        start = len(header)
        at = len(until) - len(until[start:].lstrip())
        return start, at if until.startswith(answer, at) else until.find(answer, start)
    # A generation prompt that opens a thought, say, or ends in a space that the turn itself has not.
    start = len(whole[: shared(header, whole)].rstrip())
    while start < len(whole) and whole[start].isspace():
        start += 1
    if not answer or not whole.startswith(answer, start):
        return start, -1
    return start, start


def shared(one: str, other: str) -> int:
    """How many characters two texts have in common from the start."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low
