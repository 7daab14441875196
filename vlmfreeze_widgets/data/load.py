"""``vf.load_batches``: which source it is, and the pieces put together. Each step is in a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ..adapters.transformers_processors import check_torchvision, load_processor
from ..core.arguments import FLAG, PATH, TEXT, Kind, checked, found_for, maybe, whole
from ..core.data_origin import DataOrigin
from ..core.errors import BadData
from ..core.source_length import length_of
from .any_batches import Batches
from .batches import RowBatches
from .formats import CAPTION_PROMPT, check_format
from .open_rows import root_of, rows_of
from .pictures import MAX_PIXELS, PictureLoader
from .prepare import Preparer
from .prompts import find_prompts
from .ready import ReadyBatches, is_ready
from .urls import fetch

LOOK_AT = 256
MOST_KEPT = 10_000
_PROCESSOR = Kind(
    "a processor with a tokenizer, or the folder that it is loaded from",
    lambda value: (
        value is None
        or PATH.fits(value)
        or callable(value)
        or any(hasattr(value, name) for name in ("tokenizer", "decode", "apply_chat_template"))
    ),
    "Give vf.load_processor(folder) of the model that is to be trained.",
    error=BadData,
    problem="Rows need the model's processor.",
)
_MODEL = Kind(
    "the model, or its config",
    lambda value: value is None or hasattr(value, "config") or hasattr(value, "model_type"),
    "Give the model that is to be trained, or its config; a name alone has no features to count against.",
    error=BadData,
)


@checked(
    processor=_PROCESSOR,
    image_root=maybe(PATH),
    batch_size=whole(1, 2).raising(BadData),
    max_length=maybe(whole(2, 2048)).raising(BadData),
    format=maybe(TEXT).raising(BadData),
    limit=maybe(whole(1, 1000)).raising(BadData),
    allow_urls=FLAG,
    max_pixels=whole(1, MAX_PIXELS),
    seed=whole(0),
    shuffle=FLAG,
    model=_MODEL,
    chat_template=maybe(TEXT),
    caption_prompt=TEXT,
    check_rows=whole(0, LOOK_AT),
)
def load_batches(
    source: Any,  # path, table, batches
    processor: Any = None,  # any processor
    *,
    image_root: str | Path | None = None,
    batch_size: int = 2,
    max_length: int | None = None,
    format: str | None = None,  # noqa: A002 - the name that every data library uses
    limit: int | None = None,
    allow_urls: bool = False,
    max_pixels: int = MAX_PIXELS,
    seed: int = 0,
    shuffle: bool = False,
    model: Any = None,  # a model or its config
    chat_template: str | None = None,
    caption_prompt: str = CAPTION_PROMPT,
    check_rows: int = LOOK_AT,
) -> Batches:
    """Micro-batches with labels, from the usual files of training data.

    Only assistant turns are learned, their end-of-turn tokens included; everything else, and every image token, has the
    label -100. A row that cannot be used is left out and listed in ``report`` with its line and the reason.

    Args:
        source: A .json or .jsonl file (LLaVA's ``conversations``; ``messages`` as in chats, LLaMA-Factory and ms-swift;
            ``query``/``response``), a folder of pictures with captions, a ``datasets.Dataset``, a list of rows, or anything
            that yields ready batches (dicts of tensors with ``labels``).
        processor: The model's own, or the folder or Hub id that it is loaded from; not needed for ready batches.
        image_root: Folder that pictures must lie in; by default that of the file.
        batch_size: Rows of a micro-batch.
        max_length: Most tokens of a row. A longer answer is cut at its end; a row whose picture would be cut is left out.
        format: "llava", "messages", "sharegpt", "llamafactory", "ms-swift", "query-response" or "captions"; by default the
            keys of each row decide.
        limit: At most so many rows are read.
        allow_urls: Whether pictures are fetched from https addresses (public ones only, 20 MB, 10 seconds).
        max_pixels: Pictures with more pixels are refused before they are decoded.
        seed: Of the order, with ``shuffle``.
        shuffle: Reads rows in a random order, the same each time.
        model: The model or its config: image placeholders are then counted against its features.
        chat_template: A Jinja template instead of the processor's own.
        caption_prompt: What the user asks in rows that have only a picture and a caption.
        check_rows: Sources with at most so many rows are looked at in full now; larger ones as they are read.

    Returns:
        Batches: to be iterated again and again, with ``report`` and ``preview(n)``.

    Raises:
        BadData: Nothing usable in the source, an unknown format, or a chat template whose answers cannot be distinguished from its
            prompts.

    Examples:
        >>> processor = vf.load_processor("path/to/model")
        >>> batches = vf.load_batches("train.json", processor, image_root="images", batch_size=2, model=model)
        >>> print(batches.report)
        >>> vf.Burst(model, strategy, batches, steps=50).run()
    """
    check_format(format)
    if not isinstance(source, (str, Path)):
        source, first = _peek(source, limit)
        if is_ready(first):
            _refuse_unused(image_root, chat_template)
            return ReadyBatches(source, limit, getattr(processor, "tokenizer", None))
    root_of(image_root, None)  # said at once where it is no folder
    rows, root = rows_of(source)
    if isinstance(processor, (str, Path)):
        processor = load_processor(processor)
    if getattr(processor, "tokenizer", None) is None:
        raise _bad(
            "Rows need the model's processor.",
            "a processor with a tokenizer",
            "none" if processor is None else type(processor).__name__,
            "Give vf.load_processor(folder) of the model that is to be trained.",
        )
    check_torchvision()
    preparer = Preparer(
        processor,
        find_prompts(processor, chat_template),
        PictureLoader(pictures := root_of(image_root, root), max_pixels, fetch if allow_urls else None),
        getattr(model, "config", model),
        max_length,
        None if format == "auto" else format,
        caption_prompt,
    )
    return RowBatches(
        rows,
        preparer,
        batch_size=batch_size,
        limit=limit,
        order=seed if shuffle else None,
        look_at=check_rows,
        origin=_origin(source, pictures, format) if isinstance(source, (str, Path)) else None,
    )


def _refuse_unused(image_root: object, chat_template: object) -> None:
    """Ready batches have their pictures and their words already: what would say where they lie, or how they read, is a mistake."""
    for name, value in (("image_root", image_root), ("chat_template", chat_template)):
        if value is not None:
            raise _bad(
                f"{name} has no meaning for batches that are tensors already.",
                "rows that name their pictures and hold texts",
                f"ready batches, and {name}={found_for(value)}",
                f"Leave {name} out.",
            )


def _origin(source: str | Path, pictures: Path | None, rows: str | None) -> DataOrigin:
    root = None if pictures is None else str(pictures.resolve())
    return DataOrigin(str(Path(source).expanduser().resolve()), root, None if rows == "auto" else rows)


def _peek(source: Any, limit: int | None) -> tuple[Any, Any]:  # whatever was given
    """The source in a form that can be read again, and its first item."""
    by_number = hasattr(source, "__getitem__") and length_of(source) is not None
    if isinstance(source, Mapping) or not (by_number or isinstance(source, Iterable)):
        splits = (
            isinstance(source, Mapping) and bool(source) and all(hasattr(v, "column_names") for v in source.values())
        )
        raise _bad(
            "There are no rows to read.",
            "a path, a list of rows, a data set, or an iterable of batches",
            f"one {type(source).__name__}",
            f'Choose a split: data["{next(iter(source))}"].' if splits else "Put it into a list: [row].",
        )
    if by_number:
        try:
            return source, source[0] if len(source) else None
        except Exception:  # noqa: BLE001 - the first row is bad: the report will say so
            return source, None
    if iter(source) is not source:
        first = next(iter(source), None)
        if is_ready(first):
            return source, first
    read = list(islice(source, MOST_KEPT + 1 if limit is None else limit))
    if limit is None and len(read) > MOST_KEPT:
        raise _bad(
            "The source does not end within what can be kept in memory.",
            f"at most {MOST_KEPT:,} rows or batches from a source without a length",
            "more",
            "Give limit=..., or a file, a list or a data set that can be read by number.",
        )
    return read, read[0] if read else None


def _bad(problem: str, expected: str, found: str, remedy: str) -> BadData:
    return BadData(problem, expected=expected, found=found, remedy=remedy)
