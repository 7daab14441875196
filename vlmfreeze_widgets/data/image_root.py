"""Which files a row may name: those inside the image root, after every link is followed. Opens them, decodes nothing."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from .rows import BadRow

MAX_FILE_BYTES = 64 * 2**20
_SCHEME = re.compile(r"^([A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*:[/\\])")  # a drive, or a URL
_LONGEST_NAME = 4096


def inside(root: Path | None, name: str) -> Path:
    """The real path of a picture.

    Args:
        root: The image root; None where pictures may not be named by path.
        name: What the row says: a path relative to the root, or an absolute one that lies in it.

    Returns:
        A path without links whose parents include the root's real path.

    Raises:
        BadRow: It names something else, or nothing. The file itself was not opened, and a path outside the root was
            neither opened nor confirmed to exist.
    """
    if root is None:
        raise BadRow("picture", f"{_shown(name)} is a path, and no image_root was given")
    if not name.strip() or len(name) > _LONGEST_NAME:
        raise BadRow(
            "picture", "an empty picture name" if not name.strip() else "a picture name of over 4,096 characters"
        )
    if any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in name):
        raise BadRow("picture", f"{_shown(name)} has control characters in it")
    if name.startswith(("\\\\", "//")) or _SCHEME.match(name):
        raise BadRow("picture", f"{_shown(name)} is not a path inside the image root")
    try:
        top = os.path.realpath(root)
        # Data sets written on Windows have backslashes; read as separators they cannot hide a "..".
        real = os.path.realpath(os.path.join(top, name.replace("\\", "/")))  # noqa: PTH118 - Path keeps no trailing slash
    except (OSError, ValueError) as error:
        raise BadRow("picture", f"{_shown(name)} cannot be read as a path ({error})") from None
    path = Path(real)
    # By components: "/data" is no parent of "/data-secret/a.png".
    if not path.is_relative_to(top):
        raise BadRow("picture", f"{_shown(name)} leads outside the image root")
    return path


def open_inside(root: Path | None, name: str) -> BinaryIO:
    """Opens a picture of the image root for reading.

    Raises:
        BadRow: It is outside, missing, no regular file, empty, or larger than 64 MiB.
    """
    path = inside(root, name)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        # Looked at before it is opened: opening a pipe waits for a writer, opening a device may do anything.
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise BadRow("picture", f"{_shown(name)} is not a file")
        handle = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError:
        raise BadRow("picture", f"{_shown(name)} is missing in {root}") from None
    except OSError as error:
        raise BadRow("picture", f"{_shown(name)} cannot be opened ({error.strerror})") from None
    size = os.fstat(handle.fileno()).st_size
    if size == 0 or size > MAX_FILE_BYTES:
        handle.close()
        raise BadRow("picture", f"{_shown(name)} is empty" if not size else f"{_shown(name)} is larger than 64 MiB")
    return handle


def _shown(name: str) -> str:
    return repr(name if len(name) <= 120 else name[:117] + "...")
