"""Answers questions about cost: in this process, or as a process of its own that ``session.cost_process`` talks to.

A trace is pure Python for seconds. Beside a burst it would take the interpreter from it; in a process of its own it does not.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..core.cost.estimate import CostEstimate
from ..core.shorten import shorten
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from ..engine.batches.repeated_rows import repeat_rows
from ..engine.cost.estimate import estimate_cost

_NICE = 5  # the burst and the page come first, but where they take every core an answer must come within seconds all the same


@dataclass(frozen=True)
class Subject:
    """What is asked about.

    Attributes:
        source: A model without numbers, or what ``read_tree`` takes.
        is_model: Whether ``source`` is the former.
        tree: Of it.
        batch: A micro-batch of the user's own; None where there is none.
    """

    source: Any
    is_model: bool
    tree: ModuleTree
    batch: Mapping[str, Any] | None


@dataclass(frozen=True)
class Question:
    """One estimate that is wanted.

    Attributes:
        strategy: What trains.
        rows: Of a micro-batch; None: as the batch has.
        typical: Whether a typical batch is meant even where there is one of the user's own.
        how: Other arguments of ``estimate_cost``.
    """

    strategy: Strategy
    rows: int | None
    typical: bool
    how: Mapping[str, Any]


class Answers:
    """Answers questions about one subject."""

    def __init__(self) -> None:
        self._model: Any = None
        self._subject: Subject | None = None

    def take(self, message: Subject | Question) -> CostEstimate | None:
        """The answer to a question; a subject is noted for the questions that follow.

        Raises:
            VlmFreezeError: The plan cannot be applied, or the batch not be computed.
        """
        if isinstance(message, Subject):
            self._subject = message
            self._model = message.source if message.is_model else _built(message.source)
            if message.is_model:
                from ..adapters import transformers_copies

                transformers_copies.register(self._model)
            return None
        subject = self._subject
        assert subject is not None
        plan = resolve(message.strategy, subject.tree)
        how = dict(message.how)
        if subject.batch is not None and not message.typical:
            batch = subject.batch if message.rows is None else repeat_rows(subject.batch, message.rows)
            return estimate_cost(self._model, plan, batch, **_without(how, "picture_size", "text_tokens"))
        return estimate_cost(self._model, plan, rows=message.rows or 1, **how)


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answers until the other end is gone: each with (True, answer) or (False, words)."""
    made = Answers()
    while True:
        try:
            message = pickle.load(questions)
        except EOFError:
            return
        try:
            reply: tuple[bool, Any] = (True, made.take(message))
        except Exception as error:  # whatever it is, the page must hear of it
            reply = (False, shorten(f"{type(error).__name__}: {error}", 400))
        pickle.dump(reply, answers)
        answers.flush()


def _built(source: Any) -> Any:  # a config, a folder or a Hub id -> a torch module
    from ..adapters.transformers_models import build_on_meta

    return build_on_meta(source).model


def _without(how: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in how.items() if k not in names}


def main() -> None:
    """The process: questions come on standard input, answers leave on what was standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    if hasattr(os, "nice"):
        os.nice(_NICE)
    import torch

    torch.set_num_threads(1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
