"""Files that are written whole or not at all: aside first, flushed to the disk, then renamed. Nothing here knows what they hold.

Whole folders with a manifest are in ``engine.runs.atomic_folder``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from .errors import CannotSave
from .shorten import shorten

ASIDE = ".saving-"
"""What the name begins with of whatever is not yet, or no longer, to be seen."""


def replace_file(path: str | Path, text: str | bytes, *, wait: bool = True) -> Path:
    """Writes a file in one piece; one that is there already is replaced, and stays as it was where that fails.

    Args:
        path: In a folder that exists. Through a symbolic link the file behind it is written.
        text: What the file holds then; str as UTF-8.
        wait: Until the disk holds it. Without waiting, a machine that loses its power may show an empty file; a killed process
            never does.

    Returns:
        The path.

    Raises:
        CannotSave: Disk full, no folder, no permission, a name that the file system refuses.
    """
    path = Path(path)
    with as_cannot_save(path), _in_place_of(path, wait) as part:
        part.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def write_new_files(folder: str | Path, files: Mapping[str, Callable[[Path], object]]) -> list[Path]:
    """Writes files into a folder: all of them, or none. Others that are there stay as they are.

    Args:
        folder: Is made where it is missing, and gone again where that fails.
        files: Name, which may begin with a folder ("accelerate/ddp.yaml") -> writes the file at the path that it is given.
            It may write others beside it.

    Returns:
        The paths of all files that were written.

    Raises:
        FileExistsError: One of them is there already.
        OSError: The disk refuses.
    """
    folder = Path(folder)
    made = _make_folder(folder)
    aside = folder / f"{ASIDE}{uuid4().hex}"
    moved: list[Path] = []
    try:
        _refuse_existing(folder / name for name in files)
        aside.mkdir()
        for name, write in files.items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            write(aside / name)
        written = sorted(path for path in aside.rglob("*") if path.is_file())
        targets = [folder / path.relative_to(aside) for path in written]
        _refuse_existing(targets)
        for path, target in zip(written, targets, strict=True):
            flush(path)
            made += _make_folder(target.parent)
            path.rename(target)
            moved.append(target)
        flush(folder)
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)
    return targets


def flush(path: Path) -> None:
    """Makes the disk hold what was written, so that a rename cannot overtake it."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def as_cannot_save(path: Path, remedy: str = "Free some room, or give another path.") -> Iterator[None]:
    """Turns errors of the file system into ``CannotSave``, which names the path.

    Args:
        path: What is being written.
        remedy: What the user can do.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path, text that cannot be encoded.
        raise CannotSave(
            f"{shown(path)} cannot be written.",
            expected="a place that can be written, with room enough",
            found=shorten(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}", 200),
            remedy=f"{remedy} What was there before is as it was.",
        ) from error


def shown(path: Path) -> str:
    """A path for a message: short, and printable whatever it holds."""
    text = repr(str(path))
    return text if len(text) <= 160 else f"{text[:80]}…{text[-60:]}"


@contextmanager
def _in_place_of(path: Path, wait: bool) -> Iterator[Path]:
    """A path to write; afterwards it is renamed to the one wanted."""
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.exists() and not target.is_file():  # a pipe, a terminal: nothing there can be torn
        yield target
        return
    part = target.with_name(f"{ASIDE}{uuid4().hex}")
    try:
        yield part
        if wait:
            flush(part)
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _make_folder(folder: Path) -> list[Path]:
    """Makes a folder and what is missing above it; what was made, the outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing[::-1]


def _refuse_existing(paths: Iterator[Path] | list[Path]) -> None:
    for path in paths:
        if path.exists() or path.is_symlink():
            raise FileExistsError(f"{path.name} is there already")
