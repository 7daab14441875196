"""Support: finds the code blocks of the documentation and runs those of a page in one namespace. No tests here.

A block of ``python`` is executed; a block of ``bash`` has its lines that begin with ``vlmfreeze`` run. A block of ``output`` right
below must be what was printed (three dots stand for anything). ``<!-- not run: why -->`` on the line before keeps a block from it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*\Z")
RUNS = {"python", "bash"}


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        line: Where its code begins, from 1.
        language: "python" or "bash".
        code: What is run.
        output: What it must print; None where the page shows nothing.
        reason: Why it is not run; "" where it is.
    """

    line: int
    language: str
    code: str
    output: str | None
    reason: str


class Wrong(AssertionError):
    """A block does not do what the page says."""


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a page that could be run, in order."""
    found = list(FENCE.finditer(text))
    for i, fence in enumerate(found):
        if fence["language"] not in RUNS:
            continue
        after = found[i + 1] if i + 1 < len(found) else None
        beside = after is not None and after["language"] == "output" and not text[fence.end() : after.start()].strip()
        why = NOT_RUN.search(text[: fence.start()])
        line = text.count("\n", 0, fence.start()) + 2
        output = _dedent(after) if beside and after else None
        yield Block(line, fence["language"], _dedent(fence), output, why[1] if why else "")


def _dedent(fence: re.Match[str]) -> str:
    width = len(fence["indent"])
    return "".join(line[width:] if line.strip() else "\n" for line in fence["code"].splitlines(keepends=True))


def run_page(path: Path) -> list[Block]:
    """Runs a page's blocks, where the process stands now; gives those that were not run.

    Raises:
        Wrong: One fails or prints something else; the message has its place.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    left = []
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.reason:
            left.append(block)
            continue
        place = f"{path.name}, line {block.line}"
        try:
            printed = _python(block.code, names, place) if block.language == "python" else _shell(block.code)
        except Exception as error:
            raise Wrong(f"{place}: {type(error).__name__}: {error}\n\n{block.code}") from error
        if block.output is not None and not _matches(block.output, printed):
            raise Wrong(f"{place} prints\n\n{printed}\ninstead of\n\n{block.output}")
    for value in names.values():
        close = getattr(value, "close", None)
        if callable(close) and type(value).__module__.startswith("vlmfreeze_widgets"):
            close()
    return left


def _python(code: str, names: dict[str, Any], place: str) -> str:
    """Runs a block as a cell: the value of its last line is printed, where that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(tree, place, "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), place, "eval"), names)
            if value is not None:
                names["_"] = value
                print(value)
    return out.getvalue()


def _shell(code: str) -> str:
    """Runs the commands of a block; each must end well, unless its line says with which status it ends."""
    from vlmfreeze_widgets.cli import app

    printed = ""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] != "vlmfreeze":
            raise Wrong(f"{words[0]} is not run; mark the block with a reason")
        status = re.search(r"# exit code (\d+)", line)
        done = CliRunner().invoke(app, words[1:], env={"COLUMNS": "130"})
        if done.exit_code != int(status[1] if status else 0):
            raise Wrong(f"{line} ends with {done.exit_code}: {done.output} {done.exception!r}")
        printed += done.stdout
    return printed


def _matches(wanted: str, printed: str) -> bool:
    """Whether the output is as shown; spaces at the ends of lines do not count."""
    lines = [line.rstrip() for line in wanted.strip("\n").splitlines()]
    pattern = re.escape("\n".join(lines)).replace(re.escape("..."), ".*?")
    return bool(re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed.strip("\n").splitlines()), re.DOTALL))
