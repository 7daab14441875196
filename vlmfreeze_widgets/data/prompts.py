"""A row -> the text that its processor reads, with the answers' places. Three ways: chat template, plain, question and suffix.

Which way a processor goes is found once, by trying it on a conversation whose answers are known (``find_prompts``).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..adapters.chat_templates import answers_marked, marks_answers, render
from ..core.errors import BadData
from ..core.shorten import shorten
from .answers import Span, find_answers
from .rows import ASSISTANT, SYSTEM, USER, BadRow, Message, Row

PLAIN = "plain"
SUFFIX = "suffix"
TEMPLATE = "chat template"
_TRIALS = (
    (
        Message(USER, (0, "zuqa")),
        Message(ASSISTANT, ("zura",)),
        Message(USER, ("zuqb",)),
        Message(ASSISTANT, ("zurb",)),
    ),
    (Message(USER, (0, "zuqa")), Message(ASSISTANT, ("zura",))),
)


@dataclass(frozen=True)
class Prompt:
    """What a processor reads.

    Attributes:
        text: Rendered, one placeholder per picture; without the answer where ``suffix`` holds it.
        spans: The answers, by character.
        suffix: The answer, for processors that take it apart from the question.
    """

    text: str
    spans: tuple[Span, ...]
    suffix: str | None = None


@dataclass(frozen=True)
class Prompts:
    """How rows become text for one processor.

    Attributes:
        kind: "chat template", "plain" or "suffix".
        placeholder: The text that stands for one picture.
        template: Jinja source, "" where there is none.
        as_parts: Whether the template takes content as a list of parts, or as one text.
        eos: Closes the last answer where the template does not; "" where it does.
        specials: Special tokens.
        variables: Special tokens by the names that templates use.
    """

    kind: str
    placeholder: str
    template: str = field(default="", repr=False)
    as_parts: bool = True
    eos: str = ""
    specials: tuple[str, ...] = field(default=(), repr=False)
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def of(self, row: Row) -> Prompt:
        """The text of a row.

        Raises:
            BadRow: The template refuses it, or its answers cannot be placed.
        """
        return self.of_messages(row.messages)

    def of_messages(self, messages: Sequence[Message]) -> Prompt:
        """The text of a conversation; see ``of``."""
        if self.kind == SUFFIX:
            return self._question_and_suffix(messages)
        marks: list[tuple[int, int]] = []
        try:
            if self.kind == TEMPLATE and marks_answers(self.template):
                marks = answers_marked(self.template, self._turns(messages), self.variables)
            text, spans = find_answers(self._render, messages, self.specials, marks)
        except BadRow:
            raise
        except Exception as error:  # noqa: BLE001 - templates raise what they like
            raise BadRow("labels", f"the chat template refuses the row ({shorten(error, 160)})") from None
        last = spans[-1]
        if self.eos and not last.closed and not text[last.end :].strip():
            text = text[: last.end] + self.eos
            spans[-1] = Span(last.start, len(text), last.trained, closed=True)
        pictures = sum(isinstance(p, int) for m in messages for p in m.parts)
        if text.count(self.placeholder) != pictures:
            raise BadRow(
                "placeholders",
                f"{text.count(self.placeholder)} {self.placeholder} in the prompt, {pictures} pictures in the row",
            )
        return Prompt(text, tuple(spans))

    def _render(self, messages: Sequence[Message], ask: bool) -> str:
        if self.kind == PLAIN:
            return _plain(messages, self.placeholder, str(self.variables.get("bos_token") or ""))
        return render(self.template, self._turns(messages), self.variables, ask=ask) if messages else ""

    def _turns(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        return [{"role": m.role, "content": self._content(m)} for m in messages]

    def _content(self, message: Message) -> Any:  # list of parts or one text
        if not self.as_parts:
            return "".join(self.placeholder if isinstance(p, int) else p for p in message.parts)
        return [{"type": "image"} if isinstance(p, int) else {"type": "text", "text": p} for p in message.parts]

    def _question_and_suffix(self, messages: Sequence[Message]) -> Prompt:
        if len([m for m in messages if m.role != SYSTEM]) != 2:
            raise BadRow("labels", "this processor knows one question and one answer, no conversation")
        question, answer = messages[-2], messages[-1]
        pictures = sum(isinstance(p, int) for m in messages for p in m.parts)
        if self.placeholder in question.text or question.role != USER or answer.role != ASSISTANT:
            raise BadRow("labels", "this processor knows one question and one answer, in this order")
        return Prompt(self.placeholder * pictures + question.text.strip(), (), answer.text.strip())


def find_prompts(processor: Any, template: str | None = None) -> Prompts:  # any processor
    """How rows become text for a processor.

    Args:
        processor: With a tokenizer.
        template: A chat template to be used instead of the processor's own.

    Raises:
        BadData: Answers cannot be distinguished from prompts in what its template writes.
    """
    tokenizer = getattr(processor, "tokenizer", processor)
    source = template or _own_template(processor) or _own_template(tokenizer)
    known: dict[str, Any] = {
        "placeholder": next(iter(_placeholders(processor)), "<image>"),
        "eos": tokenizer.eos_token or "",
        "specials": _specials(tokenizer),
        "variables": dict(tokenizer.special_tokens_map),
    }
    if not source:
        takes_suffix = "suffix" in inspect.signature(type(processor).__call__).parameters
        return Prompts(SUFFIX if takes_suffix else PLAIN, **known)
    reasons: list[str] = []
    for trial in _TRIALS:
        for as_parts in (True, False):
            for placeholder in _placeholders(processor) or ["<image>"]:
                found = Prompts(TEMPLATE, **{**known, "placeholder": placeholder}, template=source, as_parts=as_parts)
                problem = _problem(found, trial)
                if not problem:
                    return found
                reasons.append(problem)
    raise BadData(
        "The chat template of this processor does not let answers be told from prompts.",
        expected="each answer, as it is, right behind the generation prompt (add_generation_prompt) or inside {% generation %}",
        found=reasons[0],
        remedy="Pass chat_template=... with a {% generation %} mark around answers, or batches that have labels already.",
    )


def _problem(prompts: Prompts, trial: Sequence[Message]) -> str:
    """Why a way fails on a conversation whose answers are known; "" where it does not."""
    try:
        made = prompts.of_messages(trial)
    except BadRow as bad:
        return bad.reason
    answers = [m.text for m in trial if m.role == ASSISTANT]
    questions = [m.text for m in trial if m.role == USER]
    taught = [made.text[s.start : s.end] for s in made.spans]
    if len(taught) != len(answers) or any(a not in t for a, t in zip(answers, taught)):
        return "not every answer is found"
    if any(q in t for q in questions for t in taught) or any(made.text.count(q) != 1 for q in questions):
        return "a question is part of an answer"
    if prompts.placeholder in "".join(taught):
        return "a picture is part of an answer"
    return ""


def _plain(messages: Sequence[Message], placeholder: str, bos: str) -> str:
    """All parts in order with spaces between, as captioning data are written (LLaVA's "plain"); a prompt has no header."""
    parts = [placeholder if isinstance(p, int) else p.strip() for m in messages for p in m.parts]
    return " ".join([*([bos] if bos else []), *parts]) + ("" if messages and messages[-1].role == ASSISTANT else " ")


def _own_template(owner: Any) -> str | None:  # processor or tokenizer
    found = getattr(owner, "chat_template", None)
    return found.get("default") if isinstance(found, Mapping) else found


def _placeholders(processor: Any) -> list[str]:  # any processor
    tokenizer = getattr(processor, "tokenizer", processor)
    found = [getattr(o, n, None) for o in (processor, tokenizer) for n in ("image_token", "boi_token")]
    return list(dict.fromkeys(str(token) for token in found if token))


def _specials(tokenizer: Any) -> tuple[str, ...]:  # any tokenizer
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    return tuple(dict.fromkeys([*tokenizer.all_special_tokens, *(t.content for t in added if t.special)]))
