"""Support: reads the package's sources for the templates of ``say`` and ``say_count``. No tests here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "vlmfreeze_widgets"
_LITERALS = {"say": slice(0, 1), "say_count": slice(1, 3)}


def templates() -> Iterator[tuple[str, str | None]]:
    """(place, template) of every call; the template is None where it is no literal."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _LITERALS:
                for argument in node.args[_LITERALS[node.func.id]]:
                    text = (
                        argument.value
                        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                        else None
                    )
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", text
