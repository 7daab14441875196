"""The data in use in a trainer's words: LLaMA-Factory's ``dataset_info.json``, ms-swift's dataset and folder of pictures, the
arguments of LLaVA's scripts.

Only the first row of the file is looked at. How rows are read here is in ``data``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import BadConfig
from ..core.shorten import shorten

NAME = "burst_data"
"""What the data is called in ``dataset_info.json``."""
_HEAD = 4_000_000  # characters in which the first row has to end
_SHAREGPT = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}
_MESSAGES = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}
_PAIRS = (("instruction", "output"), ("query", "response"), ("prompt", "response"), ("question", "answer"))


def first_row(path: str) -> dict[str, Any]:
    """The first row of a .json or .jsonl file of rows.

    Raises:
        BadConfig: It is no such file.
    """
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            head = file.read(_HEAD).lstrip()
        row, _ = json.JSONDecoder().raw_decode(head[1:].lstrip() if head.startswith("[") else head)
    except (OSError, ValueError) as error:
        raise _no_rows(path, str(error)) from error
    if not isinstance(row, dict):
        raise _no_rows(path, type(row).__name__)
    return row


def _no_rows(path: str, found: str) -> BadConfig:
    return BadConfig(
        "The data cannot be described for this trainer.",
        expected="a .json or .jsonl file of rows with conversations, messages, or a question and its answer",
        found=f"{path[-60:]}: {shorten(found, 100)}",
        remedy="Register the data with the trainer by hand, and give its own dataset=... instead of data=...",
    )


def llamafactory_entry(path: str) -> dict[str, Any]:
    """The data as an entry of ``dataset_info.json``.

    Args:
        path: Of the file, in full.

    Raises:
        BadConfig: Its rows have a form that LLaMA-Factory does not read.
    """
    row = first_row(path)
    pictures = next((name for name in ("images", "image") if name in row), None)
    columns: dict[str, str] = {"images": pictures} if pictures else {}
    columns |= {"system": "system"} if isinstance(row.get("system"), str) else {}
    entry: dict[str, Any] = {"file_name": path}
    for name in ("conversations", "messages"):
        turns = row.get(name)
        if not isinstance(turns, list) or not turns or not isinstance(turns[0], Mapping):
            continue
        tags = dict(_SHAREGPT if "from" in turns[0] else _MESSAGES)
        if tags["content_tag"] not in turns[0] or not all(isinstance(t.get(tags["content_tag"]), str) for t in turns):
            raise _no_rows(path, f"turns of {', '.join(map(str, turns[0]))} whose content is no text")
        settings = {str(turn.get(tags["role_tag"])) for turn in turns}
        if settings & {"user", "assistant"}:
            tags |= {"user_tag": "user", "assistant_tag": "assistant"}
        return {**entry, "formatting": "sharegpt", "columns": {"messages": name, **columns}, "tags": tags}
    for query, response in _PAIRS:
        if isinstance(row.get(query), str) and isinstance(row.get(response), str):
            return {**entry, "columns": {"prompt": query, "response": response, **columns}}
    raise _no_rows(path, f"rows of {', '.join(list(row)[:6])}")


def for_llamafactory(others: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The user's settings with ``data`` and ``image_root`` in LLaMA-Factory's words, and ``dataset_info.json``."""
    rest = {name: value for name, value in others.items() if name not in ("data", "image_root", "format")}
    if "data" not in others:
        return dict(others), {}
    settings = {"dataset": NAME, "dataset_dir": "."}
    settings |= {"media_dir": str(others.get("image_root") or Path(str(others["data"])).parent)}
    text = json.dumps({NAME: llamafactory_entry(str(others["data"]))}, indent=2) + "\n"
    return {**settings, **rest}, {"dataset_info.json": text}


def for_ms_swift(others: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The user's settings with ``data`` in ms-swift's words, and lines that set the folder of the pictures.

    It knows the columns conversations, messages, image and images by itself; others are renamed by ``columns``.
    """
    if "data" not in others:
        return dict(others), ""
    rest = {name: value for name, value in others.items() if name not in ("data", "image_root", "format")}
    path = str(others["data"])
    row = first_row(path)
    settings: dict[str, Any] = {"dataset": [path]}
    for query, response in _PAIRS:
        if isinstance(row.get(query), str) and isinstance(row.get(response), str) and (query, response) != _PAIRS[1]:
            settings["columns"] = json.dumps({query: "query", response: "response"})
            break
    root = str(others.get("image_root") or Path(path).parent)
    return {**settings, **rest}, f"ENV:\n  ROOT_IMAGE_DIR: {json.dumps(root)}\n"


def for_llava(others: Mapping[str, Any]) -> dict[str, Any]:
    """The user's settings with ``data`` in the words of LLaVA's scripts, of LLaVA-NeXT's and of 2U1's.

    Raises:
        BadConfig: Its rows are no ``conversations`` of "from" and "value", which is all that they read.
    """
    if "data" not in others:
        return dict(others)
    rest = {name: value for name, value in others.items() if name not in ("data", "image_root", "format")}
    path = str(others["data"])
    turns = first_row(path).get("conversations")
    if not isinstance(turns, list) or not all(isinstance(t, Mapping) and {"from", "value"} <= set(t) for t in turns):
        raise _no_rows(path, "rows without LLaVA's conversations")
    return {"data_path": path, "image_folder": str(others.get("image_root") or Path(path).parent), **rest}
