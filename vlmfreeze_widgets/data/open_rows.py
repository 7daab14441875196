"""Where rows are read from, by what was given, and which folder their pictures lie in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import BadData
from .json_files import JsonRows, unreadable
from .picture_folders import Rows, folder_rows
from .tables import TableRows


def rows_of(source: Any) -> tuple[Rows, Path | None]:  # path or table
    """The rows of a file, a folder or a table, and the folder that their pictures' paths begin in.

    Raises:
        BadData: No rows can be read there.
    """
    if not isinstance(source, (str, Path)):
        return TableRows(source, "dataset" if hasattr(source, "column_names") else "list"), None
    path = Path(source).expanduser()
    if path.is_dir():
        return folder_rows(path)
    if path.suffix.lower() not in {".json", ".jsonl", ".ndjson"}:
        raise unreadable(path, f"a {path.suffix or 'nameless'} file" if path.exists() else "nothing")
    return JsonRows(path), path.resolve().parent


def root_of(given: str | Path | None, own: Path | None) -> Path | None:
    """The image root: the one given, else the source's own.

    Raises:
        BadData: There is no such folder.
    """
    if given is None:
        return own
    root = Path(given).expanduser()
    if not root.is_dir():
        raise BadData(
            "There is no such image root.",
            expected="a folder",
            found=str(given),
            remedy="Give the folder that the pictures' paths begin in.",
        )
    return root
