"""Errors that a user can meet, each in three parts: expected, found, remedy.

Only the classes live here; the rules that raise them live beside the data they check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .memory_advice import MemoryAdvice

from collections.abc import Iterable
from difflib import get_close_matches


class VlmFreezeError(Exception):
    """Base of every error that this package raises on purpose.

    Args:
        problem: One sentence that says what went wrong.
        expected: What would have been right (a phrase, no full stop).
        found: What was there instead (a phrase, no full stop).
        remedy: What the user can do now (a sentence).

    Attributes:
        code: A stable word for programs and for the page.
    """

    code = "error"

    def __init__(self, problem: str, *, expected: str, found: str, remedy: str) -> None:
        self.problem = problem
        self.expected = expected
        self.found = found
        self.remedy = remedy
        super().__init__(f"{problem} Expected {expected}, found {found}. {remedy}")

    def to_dict(self) -> dict[str, str]:
        """The error as the page and ``--json`` show it."""
        return {
            "code": self.code,
            "message": self.problem,
            "expected": self.expected,
            "found": self.found,
            "remedy": self.remedy,
        }


class UnknownTarget(VlmFreezeError):
    """A strategy names a component, path or pattern that the tree does not have."""

    code = "unknown-target"


class InvalidStrategy(VlmFreezeError):
    """A strategy holds a value that cannot be meant: a bad rank, a bad lr, a bad slice, an unknown field."""

    code = "invalid-strategy"


class PlanRefused(VlmFreezeError):
    """A plan cannot be applied: nothing trains, LoRA finds no target, a tie is torn."""

    code = "plan-refused"


class ModelNotTrainable(VlmFreezeError):
    """The model itself stands in the way: weights on meta, offloaded, half precision without range, adapters present."""

    code = "model-not-trainable"


class ModelBusy(VlmFreezeError):
    """Another owner holds this model: a burst is running, or a strategy is still applied."""

    code = "model-busy"


class BadBatch(VlmFreezeError):
    """A micro-batch cannot be trained on: not a mapping, no labels, no label tokens, wrong shapes."""

    code = "bad-batch"


class DataWorkerLost(VlmFreezeError):
    """A worker process of the user's DataLoader was killed, or gives no batch."""

    code = "data-worker-lost"


class BadData(VlmFreezeError):
    """No batch can be made of the rows that were given, or answers cannot be distinguished from prompts."""

    code = "bad-data"


class NoGradientPath(VlmFreezeError):
    """The loss depends on nothing that trains."""

    code = "no-gradient-path"


class NonFiniteLoss(VlmFreezeError):
    """The loss or a gradient became NaN or infinite; the step was not taken."""

    code = "non-finite"


class OutOfMemory(VlmFreezeError):
    """The device has no room for a step; the model is as before, and what the step held is freed."""

    code = "out-of-memory"
    advice: MemoryAdvice | None = None
    """What was seen to run instead; None where nothing was, or where it was not observed."""


class RestartNeeded(VlmFreezeError):
    """This process lost its device (a device-side assert, an illegal access): only a new one can use it again."""

    code = "restart-needed"


class CannotSave(VlmFreezeError):
    """A file cannot be written: disk full, no permission, a name that the file system refuses. What was there is intact."""

    code = "cannot-save"


class CannotMerge(VlmFreezeError):
    """LoRA cannot be merged without losing what was trained: packed weights, a sum that overflows. Nothing was changed."""

    code = "cannot-merge"


class FolderNotEmpty(VlmFreezeError, FileExistsError):
    """Results are never overwritten."""

    code = "folder-not-empty"


class BadState(VlmFreezeError):
    """A saved burst cannot be continued: torn, of another model or of another strategy."""

    code = "bad-state"


class MissingLibrary(VlmFreezeError):
    """A choice needs a library that is not installed."""

    code = "missing-library"


class BadSource(VlmFreezeError):
    """No tree can be read from what was given."""

    code = "bad-source"


class UnknownCheckpoint(VlmFreezeError):
    """The catalogue has no checkpoint of that name."""

    code = "unknown-checkpoint"


class RemoteCode(BadSource):
    """A model's config asks for Python code of its own; it is never run on the user's behalf."""

    code = "remote-code"


class NotExpressible(VlmFreezeError):
    """A trainer's own settings cannot say what a strategy wants."""

    code = "not-expressible"


class TrainerRefuses(VlmFreezeError):
    """Settings of a trainer with which the trainer itself stops."""

    code = "trainer-refuses"


class BadConfig(VlmFreezeError):
    """What was given as a trainer's settings cannot be read: no such file, no such flag, a value of the wrong kind."""

    code = "bad-config"


class InvalidOption(VlmFreezeError, ValueError):
    """An argument of a function, or an option of a page, has a value that it cannot have."""

    code = "invalid-option"


class UnknownArgument(VlmFreezeError, TypeError):
    """A keyword that a function does not have; Python's own error for it is a TypeError, too."""

    code = "unknown-argument"


class BadRequest(VlmFreezeError):
    """A message from a page is not a request that this version understands."""

    code = "bad-request"


class StaleRequest(VlmFreezeError):
    """A request was made against an older revision of the strategy."""

    code = "stale"


class WrongPhase(VlmFreezeError):
    """A request does not fit what the session is doing now."""

    code = "wrong-phase"


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names most like ``name``, best first; also those that merely contain it or end alike."""
    names = list(dict.fromkeys(known))
    close = get_close_matches(name, names, n=limit, cutoff=0.6)
    last = name.rsplit(".", 1)[-1]
    # difflib on 2,000 long dotted paths favours long common prefixes; the last segment is what people mistype.
    close += get_close_matches(last, [n for n in names if "." not in n], n=limit, cutoff=0.6)
    tails: dict[str, str] = {}
    for known_name in names:
        tails.setdefault(known_name.rsplit(".", 1)[-1], known_name)
    close += [tails[t] for t in get_close_matches(last, tails, n=limit, cutoff=0.6)]
    return list(dict.fromkeys(close))[:limit]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The remedy that names the nearest; "" where nothing is near."""
    close = nearest(name, known)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else ""
