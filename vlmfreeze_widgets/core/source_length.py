"""How long a source of batches or rows is, asked safely."""

from __future__ import annotations


def length_of(source: object) -> int | None:
    """The length of a source; None where it has none or cannot say.

    ``hasattr(source, "__len__")`` is not enough: a ``DataLoader`` has the method, and raises TypeError where its data set is an
    ``IterableDataset`` (WebDataset, a streaming ``datasets`` set).
    """
    try:
        return len(source)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError, AttributeError):
        return None
