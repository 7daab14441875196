"""The commands as their own help tells them: read from the application's functions, nothing written by hand."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from vlmfreeze_widgets.cli import app

from .cells import cell, code, table

TYPES = {str: "text", int: "number", float: "number", Path: "path", bool: ""}


def command_line() -> str:
    """A section per command, in the order of the help."""
    sections = []
    for info in app.registered_commands:
        function = info.callback
        assert function is not None
        name = info.name or function.__name__.replace("_", "-")
        rows, places = [], []
        for parameter, kind, meant, default in _parameters(function):
            several = get_origin(kind) is list
            taken = TYPES.get(get_args(kind)[0] if several else kind, "text") + (", several" if several else "")
            if isinstance(meant, ArgumentInfo):
                shown = parameter.lower()
                places.append(shown if default is inspect.Parameter.empty else f"[{shown}]")
                label = code(shown)
            else:
                label = ", ".join(map(code, _names(parameter, kind, meant)))
            rows.append((label, taken, cell(meant.help or ""), _default(default)))
        usage = " ".join(["vlmfreeze", name, *places, "[options]"])
        sections += [f"## vlmfreeze {name}\n", f"{cell(inspect.getdoc(function))}\n", f"```text\n{usage}\n```\n"]
        sections += [table(("", "takes", "", "by default"), rows)] if rows else []
    return "\n".join(sections)


def _parameters(function: Callable[..., Any]) -> list[tuple[str, Any, ArgumentInfo | OptionInfo, Any]]:
    """Name, type, what typer knows, and the default of each parameter."""
    hints = get_type_hints(inspect.unwrap(function), include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint, default = hints[name], parameter.default
        # "Annotated[...] | None" arises from a default of None.
        while get_origin(hint) in (Union, types.UnionType):
            hint = next(part for part in get_args(hint) if part is not type(None))
        kind, *more = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        while get_origin(kind) in (Union, types.UnionType):
            kind = next(part for part in get_args(kind) if part is not type(None))
        meant = next((part for part in more if isinstance(part, ArgumentInfo | OptionInfo)), None)
        if meant is None:
            meant = ArgumentInfo() if default is inspect.Parameter.empty else OptionInfo()
        found.append((name, kind, meant, default))
    return found


def _names(parameter: str, kind: object, meant: OptionInfo) -> list[str]:
    # Inside Annotated, typer takes the first name for the default and puts it right later.
    given = [part for part in (meant.default, *(meant.param_decls or ())) if str(part).startswith("-")]
    own = f"--{parameter.replace('_', '-')}"
    return given or ([own, own.replace("--", "--no-", 1)] if kind is bool else [own])


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return "must be given"
    return "" if value is None or value is False or value == "" else "yes" if value is True else code(value)
