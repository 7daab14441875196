"""Names of contenders: finding one, a free one, refusing one that is taken or one too many. Values only."""

from __future__ import annotations

from ..core.errors import InvalidStrategy
from ..core.wire.compare_state import MOST_CONTENDERS, Candidate, Compared


def find(compared: Compared, name: str) -> Candidate:
    """The contender of a name.

    Raises:
        InvalidStrategy: There is none.
    """
    found = compared.named(name)
    if found is None:
        raise InvalidStrategy(
            f"There is no contender {name[:60]!r}.",
            expected=", ".join(c.name for c in compared.candidates) or "one that was added",
            found=repr(name)[:80],
            remedy="Use one of these names.",
        )
    return found


def free_name(compared: Compared, wanted: str) -> str:
    """A name that no contender has, like the one that is wanted."""
    wanted = wanted.strip()[:50]
    taken = {c.name for c in compared.candidates}
    if wanted and wanted not in taken:
        return wanted
    number = len(taken) + 1
    while (name := f"{wanted or 'strategy'} {number}") in taken:
        number += 1
    return name


def check_new(compared: Compared, name: str) -> None:
    """Refuses a name that is taken, and one contender too many.

    Raises:
        InvalidStrategy: It is one of these.
    """
    if compared.named(name) is not None:
        raise InvalidStrategy(
            f"The name {name!r} is taken.", expected="one that no contender has", found=name, remedy="Give another."
        )
    if len(compared.candidates) >= MOST_CONTENDERS:
        raise too_many(compared)


def too_many(compared: Compared) -> InvalidStrategy:
    """The refusal of one contender too many."""
    return InvalidStrategy(
        "There are too many contenders.",
        expected=f"at most {MOST_CONTENDERS}",
        found=str(len(compared.candidates)),
        remedy="Remove some first.",
    )
