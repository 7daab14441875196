"""Sources that are not models: a config, a mapping, a file, a folder, a Hub id, a catalogued checkpoint -> a transformers config.

Values that would run or fetch code while a model is built are taken out here. Building is in ``transformers_models``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import BadSource, RemoteCode, nearest
from ..core.shorten import shorten
from ..core.tree.catalog import CatalogEntry, catalog
from ..core.tree.checkpoint_headers import Checkpoint
from . import hub_cache
from .safetensors_headers import read_checkpoint

# An attention or expert implementation may name a Hub repository whose kernels transformers then loads (CVE-2026-4372);
# the others ask for Python files, or are the switch itself.
_RUNS_CODE = (
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "attn_implementation_internal",
    "experts_implementation", "_experts_implementation", "_experts_implementation_internal",
    "auto_map", "trust_remote_code", "_name_or_path", "name_or_path",
)  # fmt: skip
_FILE_LIMIT = 20_000_000  # bytes of a config.json; the largest published one has 0.1 MB


@dataclass(frozen=True)
class FoundConfig:
    """What a source turned out to be.

    Attributes:
        config: A transformers config of its own; the caller's is never changed.
        title: What to call the model.
        dtype: What its weights are stored in, where that is known.
        folder: Where it came from on disk.
        checkpoint: The weight files' headers.
        entry: Its entry of the catalogue.
    """

    config: Any
    title: str
    dtype: str | None = None
    folder: Path | None = None
    checkpoint: Checkpoint | None = None
    entry: CatalogEntry | None = None


def find_config(source: Any) -> FoundConfig:  # config, mapping, path or id
    """Reads a source, in this order for a text: a path, the local Hub cache, the catalogue, the network.

    Raises:
        RemoteCode: The config needs Python files of its own; names them and says how to allow it.
        BadSource: Nothing can be read, or transformers has no class for it.
    """
    from transformers import PretrainedConfig

    if isinstance(source, PretrainedConfig):
        return FoundConfig(_harmless(copy.deepcopy(source)), _last(getattr(source, "_name_or_path", "")))
    if isinstance(source, CatalogEntry):
        return _from_catalog(source)
    if isinstance(source, Mapping):
        return FoundConfig(_made(source, "this mapping"), "")
    if not isinstance(source, str | Path):
        raise BadSource(
            "No tree can be read from this.",
            expected="an nn.Module, a transformers config, a mapping, a folder or a Hub id",
            found=type(source).__name__,
            remedy="Give one of these.",
        )
    path = Path(source)
    is_file, is_folder = _kind_of(path) if str(source) else (False, False)
    if is_folder or (is_file and path.suffix == ".json"):
        return _from_path(path)
    if isinstance(source, Path) or is_file or not hub_cache.looks_like_an_id(source):
        raise BadSource(
            f"There is no model at {shorten(source, 200)!r}.",
            expected="a folder with config.json, a config.json, or a Hub id such as 'Qwen/Qwen2.5-VL-7B-Instruct'",
            found="a file of another kind" if is_file else "no such path, and no possible Hub id",
            remedy="Check the path.",
        )
    if (folder := hub_cache.cached_folder(source)) is not None:
        return _named(_from_path(folder, title=_last(source)), source)
    if (entry := catalog().find(source)) is not None:
        return _from_catalog(entry)
    try:
        return _named(_from_path(hub_cache.fetched_folder(source), title=_last(source)), source)
    except RemoteCode:
        raise
    except BadSource as error:
        close = nearest(source, [*catalog(), *(e.name for e in catalog().values())])
        if close:
            error = BadSource(
                error.problem,
                expected=error.expected,
                found=error.found,
                remedy=f"The catalogue has {' and '.join(map(repr, close))}. {error.remedy}",
            )
        raise error from error.__cause__


def _kind_of(path: Path) -> tuple[bool, bool]:
    """Whether it is a file, and whether a folder; a name that the system cannot even ask for is neither."""
    try:
        return path.is_file(), path.is_dir()
    except (OSError, ValueError):
        return False, False


def _from_catalog(entry: CatalogEntry) -> FoundConfig:
    if entry.config is None:
        raise BadSource(
            f"{entry.id} is in the catalogue, but cannot be built.",
            expected="a checkpoint with a class in transformers",
            found=entry.note,
            remedy="Load it yourself (with trust_remote_code=True if you trust its code) and give the model.",
        )
    return _named(FoundConfig(_made(entry.config, entry.id), entry.name, dtype=entry.dtype, entry=entry), entry.id)


def _from_path(path: Path, title: str | None = None) -> FoundConfig:
    file = path / "config.json" if path.is_dir() else path
    folder = file.parent
    try:
        if file.stat().st_size > _FILE_LIMIT:
            raise ValueError(f"{file.stat().st_size:,} bytes, more than {_FILE_LIMIT:,}")
        values = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(values, dict):
            raise ValueError(f"a {type(values).__name__} at the top")
    except (OSError, ValueError, RecursionError) as error:
        raise BadSource(
            f"No config can be read in {folder}.",
            expected="config.json, a JSON object",
            found=f"{type(error).__name__}: {shorten(error, 160)}",
            remedy="Save the model there with save_pretrained, or give another folder.",
        ) from error
    checkpoint = read_checkpoint(folder) if path.is_dir() else None
    declared = values.get("dtype") or values.get("torch_dtype")
    dtype = checkpoint.dtype if checkpoint is not None else str(declared) if declared else None
    name = title or (folder if path.is_dir() or path.name == "config.json" else path.with_suffix("")).resolve().name
    found = FoundConfig(_made(values, str(file)), name, dtype, folder if path.is_dir() else None, checkpoint)
    return _named(found, str(folder) if path.is_dir() else "")


def _made(values: Mapping[str, Any], where: str) -> Any:  # transformers.PretrainedConfig
    from transformers import CONFIG_MAPPING

    kind = values.get("model_type")
    if kind not in CONFIG_MAPPING:
        if values.get("auto_map"):
            raise _remote_code(values, where)
        close = nearest(str(kind), list(CONFIG_MAPPING)) if isinstance(kind, str) else []
        raise BadSource(
            f"transformers has no class for {where}.",
            expected="a config with the 'model_type' of a transformers model",
            found="no 'model_type'" if kind is None else f"model_type {shorten(kind, 80)!r}",
            remedy=(f"Did you mean {' or '.join(map(repr, close))}? " if close else "")
            + "A newer transformers may know it; else load the model yourself and give it.",
        )
    try:
        return _harmless(CONFIG_MAPPING[str(kind)].from_dict(_without_code(dict(values))))
    except Exception as error:  # validators of 100 families raise whatever they like
        raise BadSource(
            f"The values of {where} do not make a {kind} config.",
            expected="the config of a real checkpoint",
            found=f"{type(error).__name__}: {shorten(error, 300)}",
            remedy="Compare it with the checkpoint's own config.json.",
        ) from error


def _remote_code(values: Mapping[str, Any], where: str) -> RemoteCode:
    wanted = values.get("auto_map")
    references = wanted.values() if isinstance(wanted, Mapping) else [wanted]
    files = sorted({str(r).partition("--")[2].rpartition(".")[0] or str(r).rpartition(".")[0] for r in references if r})
    shown = ", ".join(f"{name}.py" for name in files[:4])
    return RemoteCode(
        f"{where} needs Python code of its own, which is not run for you.",
        expected="a model type that transformers has a class for",
        found=f"{values.get('model_type')!r} with auto_map: building it would run {shown}",
        remedy="Read those files; if you trust them, load the model with from_pretrained(..., trust_remote_code=True) and "
        "give it here.",
    )


def _without_code(values: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    if depth > 12:
        raise ValueError("sub-configs nested more than 12 deep")
    return {
        key: _without_code(value, depth + 1) if isinstance(value, dict) else value
        for key, value in values.items()
        if key not in _RUNS_CODE
    }


def _harmless(config: Any, depth: int = 0) -> Any:  # transformers.PretrainedConfig
    """The default attention and no auto_map, in it and in every sub-config: what is counted depends on neither."""
    if hasattr(config, "auto_map"):
        del config.auto_map
    config._attn_implementation_internal = None
    for value in list(vars(config).values()) if depth < 6 else []:
        if hasattr(value, "model_type") and hasattr(value, "to_dict"):
            _harmless(value, depth + 1)
    return config


def _named(found: FoundConfig, name: str) -> FoundConfig:
    """The same, its config knowing by what the model is loaded: what a stored config says of that is where it once was."""
    found.config._name_or_path = name
    return found


def _last(name: object) -> str:
    return str(name or "").rstrip("/").rpartition("/")[2].removesuffix(".json")
