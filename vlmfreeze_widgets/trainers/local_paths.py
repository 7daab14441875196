"""Paths in a user's own settings, made whole: a file of settings is read in another folder than the one it was written from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAMES = (
    "data", "image_root", "processor", "chat_template", "batches", "data_path", "image_folder", "dataset", "val_dataset",
    "dataset_dir", "media_dir", "eval_data_path", "model", "model_name_or_path", "base_model", "adapter_name_or_path",
    "adapters", "resume_from_checkpoint", "custom_register_path", "custom_dataset_info", "deepspeed",
)  # fmt: skip
"""Settings of which the trainers take a path; a name that is no path of this machine stays what it is."""


def with_whole_paths(others: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings, with each path of this machine in full.

    Args:
        others: The user's own; output folders are left alone, and so is what is not there.
    """
    return {name: _whole(value, name) if name in NAMES else value for name, value in others.items()}


def _whole(value: Any, name: str) -> Any:
    if isinstance(value, list | tuple):
        return [_whole(held, name) for held in value]
    if not isinstance(value, str) or not value:
        return value
    path = Path(value)
    try:
        # A word such as "demo" may be a registered dataset: only what looks like a path or a file is taken for one.
        looks = len(path.parts) > 1 or bool(path.suffix) or (path.is_dir() and name != "dataset")
        return str(path.resolve()) if looks and not path.is_absolute() and path.exists() else value
    except (OSError, ValueError):
        return value
