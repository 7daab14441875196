"""Where a trainer's settings come from: a mapping, a YAML or JSON file, an adapter folder, a command line, or a live PeftModel. All
become one mapping from flag to value; what the values mean is in each trainer's file.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..adapters import yaml_text
from ..core.errors import BadConfig, did_you_mean
from ..core.shorten import shorten
from ..core.strict_json import load_json

_ADAPTER = "adapter_config.json"
_LONGEST_PATH = 1024
_MOST_VALUES = 100_000  # an adapter_config.json that names its targets one by one has thousands
_LARGEST_FILE = 4 * 1024 * 1024  # bytes; settings of a trainer are a few kilobytes


_ENDINGS = (".yaml", ".yml", ".json", ".sh", ".py", ".txt")


def read_settings(source: Any) -> dict[str, Any]:  # see Args
    """A mapping from flag to value.

    Args:
        source: A mapping, a path or the text of a YAML or JSON file, a folder with ``adapter_config.json``, a command line
            ("--lora_enable True --lora_r 64", with or without the program before it), a list of its words, a PeftModel or a
            LoraConfig.

    Raises:
        BadConfig: It is none of these, or cannot be read.
    """
    if isinstance(source, Mapping):
        return _flat(source)
    configs = getattr(source, "peft_config", None)
    if isinstance(configs, Mapping) and configs:
        active = getattr(source, "active_adapter", None)
        source = configs[active] if isinstance(active, str) and active in configs else next(iter(configs.values()))
    if callable(getattr(source, "to_dict", None)):
        return {name: _plain(value) for name, value in source.to_dict().items() if value is not None}
    if isinstance(source, list | tuple):
        return _arguments([str(word) for word in source])
    if isinstance(source, Path) or (isinstance(source, str) and _names_a_file(source)):
        return _from_file(Path(source))
    if isinstance(source, str):
        if _looks_like_a_path(source):
            raise _no_file(Path(source))
        return read_text(source)
    raise _unreadable("a mapping, a file, a command line or a PeftModel", type(source).__name__)


def _names_a_file(text: str) -> bool:
    if "\n" in text or len(text) > _LONGEST_PATH:
        return False
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False


def _looks_like_a_path(text: str) -> bool:
    """One word that ends as a settings file does, or names a folder: no settings look so."""
    word = text.strip()
    return bool(word) and not any(c.isspace() for c in word) and word.lower().endswith(_ENDINGS)


def _no_file(path: Path) -> BadConfig:
    here = path.absolute().parent
    near = ""
    if here.is_dir():
        near = did_you_mean(path.name, [child.name for child in here.iterdir()])
    return BadConfig(
        "There is no such settings file.",
        expected="the path of a YAML or JSON file, of a script, or of a folder with adapter_config.json",
        found=f"nothing at {shorten(repr(str(path)))}",
        remedy=near or f"Check the path, which is read from {str(Path.cwd())!r}.",
    )


def _from_file(path: Path) -> dict[str, Any]:
    if path.is_dir():
        path /= _ADAPTER
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise _unreadable("a file of a few kilobytes", f"{path.stat().st_size:,} bytes in {path.name}")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _no_file(path) from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable("a readable text file", shorten(f"{path.name}: {error}")) from error
    return read_text(text, path.name)


def read_text(text: str, name: str = "the text") -> dict[str, Any]:
    """The settings in a text, which is never taken for a path.

    Args:
        text: YAML, JSON, a command line, or Unsloth's call in Python.
        name: Of what it is, for errors.

    Raises:
        BadConfig: It cannot be read.
    """
    # Only a line feed ends a line: a value may hold one of the rarer signs that splitlines cuts at.
    lines = "\n".join(line for line in text.replace("\r\n", "\n").split("\n") if not line.lstrip().startswith("#"))
    if "get_peft_model(" in text:
        return _call(text, name)
    words = lines.replace("\\\n", " ").strip()
    if words.startswith("--") or (" --" in f" {words}" and not words.startswith("{") and ":\n" not in words):
        try:
            return _arguments(shlex.split(words))
        except ValueError as error:
            raise _unreadable("a command line", f"{name}: {error}") from error
    try:
        # Trainers read their files by YAML 1.1, where "no" is false; JSON is YAML as far as it goes.
        data = load_json(text) if text.lstrip().startswith("{") else yaml_text.load(text, version=(1, 1))
    except (ValueError, RecursionError) as error:  # the latter: brackets in brackets, thousands deep
        raise _unreadable("YAML, JSON or a command line", f"{name}: {shorten(error, 200)}") from error
    if not isinstance(data, Mapping):
        raise _unreadable("settings, each with a name", f"{type(data).__name__} in {name}")
    if _values(data, _MOST_VALUES) > _MOST_VALUES:
        raise _unreadable(f"at most {_MOST_VALUES:,} values", f"more of them in {name}")
    return _flat(data)


def _call(text: str, name: str) -> dict[str, Any]:
    """The arguments of ``FastVisionModel.get_peft_model(...)`` in Python, as Unsloth's export writes them; nothing is run."""
    try:
        tree = ast.parse(text)
        found: dict[str, Any] = {"finetune_vision_layers": True}  # the default, and a sign of whose call it is
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get_peft_model"
            ):
                found |= {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg}
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in (
                "learning_rate",
                "weight_decay",
                "loraplus_lr_ratio",
            ):
                found[node.targets[0].id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _unreadable("a call of get_peft_model with plain values", f"{name}: {shorten(error, 200)}") from error
    return _flat(found)


def _values(data: Any, most: int) -> int:  # what was read
    """How many values there are, counted up to ``most`` and one: an alias of an alias of an alias is short as text alone."""
    waiting, count = [data], 0
    while waiting and count <= most:
        value = waiting.pop()
        count += 1
        waiting += (
            list(value.values()) if isinstance(value, Mapping) else list(value) if isinstance(value, list) else []
        )
    return count


def _arguments(words: list[str]) -> dict[str, Any]:
    """ "--name value", "--name=value", "--name" alone (true), "--name a b" (a list), and "name=value" after a file."""
    found: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            found[name] = value if equals else True
        elif name:
            held = found[name]
            found[name] = word if held is True else [*held, word] if isinstance(held, list) else [held, word]
        elif "=" in word:
            key, _, value = word.partition("=")
            found[key] = value
    if not found:
        raise _unreadable("arguments such as --lora_r 64", " ".join(words)[:80] or "nothing")
    return found


def _flat(source: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in source.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    # PEFT's enumerations are texts.
    return getattr(value, "value", value)


def _unreadable(expected: str, found: str) -> BadConfig:
    return BadConfig(
        "These settings of a trainer cannot be read.",
        expected=expected,
        found=found,
        remedy="Give a dict, the path of a YAML or JSON file, or the arguments as one text.",
    )
