"""Folders that are there whole or not at all: written aside, flushed to the disk, then renamed. What they hold is elsewhere.

Each has a manifest with the size and SHA-256 of every file; a folder that does not match it is never listed as good.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from ...core.atomic_files import ASIDE, flush, shown, write_new_files
from ...core.errors import BadState, CannotSave, FolderNotEmpty
from ...core.shorten import shorten

Writer = Callable[[Path], object]
"""Writes one file at the path that it is given."""

_MANIFEST = "manifest.json"
_OLD = 3600  # seconds after which a folder that a killed process left aside is swept away
_CHUNK = 1 << 20


def write_folder(parent: Path, name: str, files: Mapping[str, Writer], about: Mapping[str, object]) -> Path:
    """Writes a folder with a manifest; what lay in the parent before is as it was.

    Args:
        parent: Made where it is missing.
        name: Wanted; with "-2" and so on where it is taken, since nothing is overwritten.
        files: File name -> its writer.
        about: Plain data for the manifest.

    Returns:
        The folder.

    Raises:
        CannotSave: Disk full, no permission, a name that the file system refuses. Nothing new is there then.
    """
    with _telling(parent):
        parent.mkdir(parents=True, exist_ok=True)
        aside = parent / f"{ASIDE}{uuid4().hex}"
        _sweep(parent)
        aside.mkdir()
        try:
            listed = {}
            for file, write in files.items():
                write(aside / file)
                flush(aside / file)
                listed[file] = {"bytes": (aside / file).stat().st_size, "sha256": _sha256(aside / file)}
            manifest = {**about, "saved_ns": time.time_ns(), "files": listed}
            manifest["seal"] = _seal(manifest)
            (aside / _MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False), encoding="utf-8")
            flush(aside / _MANIFEST)
            flush(aside)
            target = _rename(aside, parent, name)
            flush(parent)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    return target


def write_into(folder: Path, files: Mapping[str, Writer]) -> None:
    """Writes files into an empty folder: all of them, or none. Without a manifest, for readers that know nothing of ours.

    Raises:
        CannotSave: As above; a folder that was made for it is gone again.
        FolderNotEmpty: The folder holds something.
    """
    with _telling(folder):
        taken = folder.exists() and any(folder.iterdir())
    if taken:
        raise FolderNotEmpty(
            f"{folder} is not empty.", expected="a new or empty folder", found="files in it",
            remedy="Give another folder: results are never overwritten.",
        )  # fmt: skip
    with _telling(folder):
        write_new_files(folder, files)


def good_manifests(parent: Path) -> list[tuple[Path, dict[str, object]]]:
    """The folders below ``parent`` whose files match their manifest byte for byte, with it; the newest by the clock last."""
    if not parent.is_dir():
        return []
    found = []
    for path in parent.iterdir():
        if not path.name.startswith(ASIDE) and (manifest := _checked(path)) is not None:
            found.append((int(str(manifest.get("saved_ns", 0))), path, manifest))
    return [(path, manifest) for _, path, manifest in sorted(found, key=lambda entry: entry[:2])]


def read_manifest(folder: Path) -> dict[str, object]:
    """The manifest of a good folder.

    Raises:
        BadState: A file is missing, torn or changed.
    """
    manifest = _checked(folder)
    if manifest is None:
        raise BadState(
            "This folder does not hold what was saved.",
            expected=f"{_MANIFEST} and the files that it lists, byte for byte",
            found=f"{shown(folder)}, where that is not so",
            remedy="Use another saved state; those that are whole are listed by vf.Burst.saved_states(folder).",
        )
    return manifest


def remove_folder(folder: Path) -> None:
    """Removes a folder that was written here; one that the system refuses to move stays."""
    # Renamed first, so that a folder that is half removed is not seen.
    gone = folder.parent / f"{ASIDE}{uuid4().hex}"
    try:
        folder.rename(gone)
    except OSError:
        return
    shutil.rmtree(gone, ignore_errors=True)


def _checked(folder: Path) -> dict[str, object] | None:
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if manifest.pop("seal") != _seal(manifest):
            return None
        for file, listed in manifest["files"].items():
            path = folder / file
            if Path(file).name != file or path.stat().st_size != listed["bytes"] or _sha256(path) != listed["sha256"]:
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return dict(manifest)


def _seal(manifest: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _rename(aside: Path, parent: Path, name: str) -> Path:
    number = 1
    while True:
        target = parent / (name if number == 1 else f"{name}-{number}")
        if not target.exists() and not target.is_symlink():
            try:
                return aside.rename(target)
            except OSError:
                if not target.exists():
                    raise
        number += 1


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{ASIDE}*"):
        try:
            if time.time() - path.stat().st_mtime > _OLD:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path, text that cannot be encoded.
        raise CannotSave(
            f"Nothing could be saved in {shown(path)}.",
            expected="a folder that can be written, with room enough",
            found=shorten(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}", 200),
            remedy="Free some room or give another folder; what was saved before is intact, and this burst is still in memory.",
        ) from error
