"""Settings as YAML that every reader takes alike: YAML 1.1 (PyYAML, OmegaConf) and 1.2. Reading is in ``sources``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Words without quotes only where no reader could take them for anything else: no digits first, none of YAML 1.1's words.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[./-][A-Za-z0-9_]+)*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "none"}


def yaml_lines(settings: Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """One line per setting.

    Args:
        settings: Name -> text, number, truth value, list of these, or None (left out: some readers make a word of it).
        comments: Lines above, without the hash.
    """
    lines = [f"# {' '.join(comment.split())}" for comment in comments]
    for name, value in settings.items():
        if isinstance(value, list | tuple):
            lines.append(f"{_text(name)}: [{', '.join(_scalar(v) for v in value)}]")
        elif value is not None:
            lines.append(f"{_text(name)}: {_scalar(value)}")
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return yaml_float(value)
    return _text(str(value))


def yaml_float(value: float) -> str:
    """With a dot and a signed exponent: 1e-05 without a dot is a text to YAML 1.1."""
    text = repr(value)
    if "e" not in text:
        return text
    digits, _, exponent = text.partition("e")
    return f"{digits if '.' in digits else f'{digits}.0'}e{exponent if exponent[0] in '+-' else f'+{exponent}'}"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _escaped(char: str) -> str:
    """As in a text with double quotes; JSON's pairs of halves for rarer characters would be two characters to YAML."""
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
