"""What the arguments of public functions may be, and the one check of them: ``@checked`` refuses, in three parts, what cannot be
meant, before anything is read or changed. Kinds that need a class of the engine stand beside that class.

Long because every kind that belongs to no single module stands here, beside the check that they share.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import Any, TypeVar, cast

from .errors import BadBatch, InvalidOption, UnknownArgument, VlmFreezeError, did_you_mean
from .shorten import shorten
from .source_length import length_of

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Kind:
    """What one argument may be.

    Attributes:
        expected: In words, as the error says it.
        fits: Whether a value is one.
        remedy: What to write instead; "{name}" is the argument's name.
        names: All values, where they are names: the error gives the nearest.
        error: What is raised.
        problem: The sentence that says what went wrong; "{name}" is the argument's name, "{where}" the function's.
    """

    expected: str
    fits: Callable[[Any], bool]
    remedy: str
    names: tuple[str, ...] = ()
    error: type[VlmFreezeError] = InvalidOption
    problem: str = "{where} cannot use this {name}."

    def check(self, where: str, name: str, value: object) -> None:
        """Refuses what is no such value.

        Raises:
            VlmFreezeError: Of the class ``error``.
        """
        try:
            if self.fits(value):
                return
        except (TypeError, ValueError, RuntimeError):  # values that cannot be compared: a tensor, an array
            pass
        near = did_you_mean(value, self.names) if isinstance(value, str) else ""
        raise self.error(
            self.problem.format(name=name, where=where),
            expected=self.expected,
            found=found_for(value),
            remedy=near or self.remedy.format(name=name),
        )

    def raising(self, error: type[VlmFreezeError]) -> Kind:
        """The same with another class of error."""
        return replace(self, error=error)


def found_for(value: object) -> str:
    """What was given, in one phrase: the value where it is short text or a number, else its type."""
    if value is None or isinstance(value, str | int | float | os.PathLike):
        return shorten(repr(value))
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        # The text of tensors takes long, and says nothing.
        parts = [*value, *value.values()] if isinstance(value, Mapping) else list(value)
        if len(parts) <= 12 and all(part is None or isinstance(part, str | int | float) for part in parts):
            return shorten(repr(value))
        named = f" with the keys {', '.join(map(repr, value))}" if isinstance(value, Mapping) else f" of {len(value)}"
        return shorten(f"a {type(value).__name__}{named}")
    return f"a value of the type {type(value).__name__}"


def maybe(kind: Kind) -> Kind:
    """The kind, or None."""
    return replace(kind, expected=f"{kind.expected}, or None", fits=lambda value: value is None or kind.fits(value))


def is_flag(value: object) -> bool:
    """Whether a value is True or False, numpy's included; a word or a number in its place is a mistake that would count as True."""
    return isinstance(value, bool) or (type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_"))


def is_whole(value: object, least: float = -math.inf) -> bool:
    """Whether a value is a whole number of at least so much, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, and no bool."""
    # Compared, not math.isfinite: that raises for a whole number beyond all floats.
    return isinstance(value, Real) and not isinstance(value, bool) and abs(cast(float, value)) <= sys.float_info.max


def whole(least: int, example: int | None = None) -> Kind:
    """Whole numbers of at least so much."""
    write = f"Write a whole number, such as {{name}}={least if example is None else example}."
    return Kind(f"a whole number of at least {least}", lambda value: is_whole(value, least), write)


def share(example: float, *, zero: bool = False) -> Kind:
    """Numbers between 0 and 1, without 1; 0 among them or not."""
    return Kind(
        f"a number {'from 0' if zero else 'above 0'} and below 1",
        lambda value: is_number(value) and (0 <= value < 1 if zero else 0 < value < 1),
        f"Write a share, such as {{name}}={example}.",
    )


def one_of(names: Iterable[str], example: str) -> Kind:
    """One of some names."""
    known = tuple(names)
    write = f"Write, for example, {{name}}={example!r}."
    return Kind(", ".join(map(repr, known)), lambda value: isinstance(value, str) and value in known, write, known)


def instance(kinds: type | tuple[type, ...], expected: str, remedy: str) -> Kind:
    """Objects of some classes."""
    return Kind(expected, lambda value: isinstance(value, kinds), remedy)


FLAG = Kind("True or False", is_flag, "Write {name}=True or {name}=False.")
TEXT = Kind("a text", lambda value: isinstance(value, str), 'Write a text: {name}="...".')
NAME = Kind("a text that is not empty", lambda v: isinstance(v, str) and bool(v.strip()), 'Write a name: {name}="...".')
PATH = Kind(
    "a path: a text or a pathlib.Path",
    lambda value: isinstance(value, str | os.PathLike) and bool(os.fspath(value)),
    'Write the path, such as {name}="runs".',
)
POSITIVE = Kind("a number above 0", lambda value: is_number(value) and value > 0, "Write a number, such as {name}=1.0.")
RATE = Kind(
    "a finite number of at least 0", lambda value: is_number(value) and value >= 0, "Write, such as {name}=1e-4."
)
FUNCTION = Kind("a function", callable, "Give a function, such as {name}=print, or leave it out.")
MAPPING = Kind("a mapping", lambda value: isinstance(value, Mapping), "Give a dict.")


def _is_batches(value: object) -> bool:
    return _is_iterable(value) and length_of(value) != 0


def _is_iterable(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | os.PathLike | Mapping)


BATCHES = Kind(
    "a list, DataLoader or other iterable of dicts of tensors, with at least one in it",
    _is_batches,
    "Make them with vf.load_batches(...); a single batch goes into a list: {name}=[batch].",
    error=BadBatch,
    problem="There are no micro-batches in {name}.",
)
HELD_OUT = maybe(replace(BATCHES, remedy="Give at least one batch in a list, {name}=[batch], or leave {name} out."))
BATCHES_BY_STAGE = replace(
    BATCHES,
    expected=f"{BATCHES.expected}, or a mapping of such by the names of stages",
    fits=lambda value: (
        _is_batches(value) or (isinstance(value, Mapping) and bool(value) and all(map(_is_batches, value.values())))
    ),
)


def many(one: Callable[[Any], bool], expected: str, remedy: str) -> Kind:
    """Any number of values of a sort; what can be read only once is not looked into here."""
    return Kind(
        expected,
        lambda value: _is_iterable(value) and (isinstance(value, Iterator) or all(map(one, value))),
        remedy,
    )


def checked(keywords: Callable[[], Iterable[str]] | None = None, /, **kinds: Kind) -> Callable[[F], F]:
    """Checks the arguments of a public function, and names a keyword that it does not have.

    Args:
        keywords: What its ``**`` takes, asked at the first unknown name; None: whatever comes is passed on.
        **kinds: Argument -> what it may be.

    Returns:
        A decorator; the signature and the docstring stay.
    """

    def decorate(function: F) -> F:
        parameters = signature(function).parameters
        by_place = [p.name for p in parameters.values() if p.kind is not Parameter.KEYWORD_ONLY]
        takes_more = any(p.kind is Parameter.VAR_KEYWORD for p in parameters.values())
        named = {p.name for p in parameters.values() if p.kind is not Parameter.VAR_KEYWORD}
        if not takes_more and not set(kinds) <= named:
            raise AssertionError(f"{function.__qualname__} has no {set(kinds) - named}")
        where = _called(function)

        @wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            for name, value in (*zip(by_place, args), *given.items()):
                if name in kinds:
                    kinds[name].check(where, name, value)
                elif takes_more and keywords is not None and name not in named:
                    check_keyword(where, name, (*(n for n in named if n != "self"), *keywords()))
            return function(*args, **given)

        return call  # type: ignore[return-value]  # of the same signature

    return decorate


_ALSO = {"r": "rank", "lora_r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout", "target_modules": "targets",
         "learning_rate": "lr", "max_steps": "steps", "num_steps": "steps", "gradient_accumulation_steps": "accumulation",
         "gradient_checkpointing": "checkpointing", "lr_scheduler_type": "scheduler", "optim": "optimizer",
         "per_device_train_batch_size": "batch_size", "eval_dataset": "eval_batches", "eval_steps": "eval_every"}  # fmt: skip
"""Names that PEFT and Hugging Face's Trainer have for the same thing."""


def check_keyword(where: str, name: str, known: Iterable[str]) -> None:
    """Refuses a keyword that a function does not have.

    Raises:
        UnknownArgument: With the nearest that it has.
    """
    names = tuple(dict.fromkeys(known))
    if name in names:
        return
    same = _ALSO.get(name, "")
    raise UnknownArgument(
        f"{where} has no argument {name!r}.",
        expected=", ".join(names),
        found=repr(name),
        remedy=f"It is called {same!r} here." if same in names else did_you_mean(name, names) or "Leave it out.",
    )


def fields_checked(_class: type, **kinds: Kind) -> None:
    """As ``checked``, for the constructor of a dataclass, whose fields are all that it takes.

    Called below the class: a decorator would hide from type checkers that it is a dataclass.
    """
    made: Callable[..., None] = vars(_class)["__init__"]
    fields = tuple(name for name in signature(made).parameters if name != "self")

    @wraps(made)
    def create(self: Any, *args: Any, **given: Any) -> None:
        for name, value in (*zip(fields, args), *given.items()):
            check_keyword(_class.__name__, name, fields)
            if name in kinds:
                kinds[name].check(_class.__name__, name, value)
        made(self, *args, **given)

    # What a dataclass writes has no source: who asks for that of the constructor gets this one's.
    del create.__wrapped__
    create.__signature__ = signature(made)  # type: ignore[attr-defined]
    type.__setattr__(_class, "__init__", create)


def _called(function: Callable[..., Any]) -> str:
    """As users call it: "vf.compare", "Burst", "Workbench.run"."""
    name = function.__qualname__
    return name.removesuffix(".__init__") if "." in name else f"vf.{name}"
