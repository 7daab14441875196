"""The terminal's two consoles, the application that commands join, and how an error is shown. No command is here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from ..core.errors import VlmFreezeError
from ..core.language.format import count, rate, share
from ..core.strategy.plan import Plan
from ..core.strategy.text import component_rows, sentence
from ..core.tree.components import LABELS

# With a value, or a name that is no English word.
_ARGUMENT = re.compile(
    r"\b(image_root|batch_size|max_length|(?:accumulation|precision|checkpointing|optimizer|scheduler)(?==))"
    r"(?:=(?:['\"]([^'\"]*)['\"]|([\w-]+)|\.\.\.))?"
)
app = typer.Typer(
    help="See a vision-language model, choose what trains, run a burst.", no_args_is_help=True, add_completion=False
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def mendable(command: Callable[..., None]) -> Callable[..., None]:
    """Shows errors a user can mend in their three parts, without a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:  # whatever typer passes
        try:
            command(*args, **kwargs)
        except VlmFreezeError as error:
            parts = {**error.to_dict(), "remedy": as_options(error.remedy)}
            if kwargs.get("as_json"):
                print(json.dumps({"error": parts}))
            else:
                complain(parts)
            raise typer.Exit(1) from error

    return wrapped


def as_options(remedy: str) -> str:
    """A remedy in which arguments of Python are the options of the terminal: ``optimizer='sgd'`` is ``--optimizer sgd``."""

    def option(found: re.Match[str]) -> str:
        name, value = "--" + found[1].replace("_", "-"), found[2] or found[3]
        if value == "False":
            return f"no {name}"
        return f"{name} non-reentrant" if value == "True" else f"{name} {value}" if value else name

    return _ARGUMENT.sub(option, remedy)


def complain(error: Mapping[str, str] | None) -> None:
    """Prints an error in its three parts."""
    if error is None:
        return
    err.print(error["message"], style="bold red", markup=False, soft_wrap=True)
    err.print(
        f"  expected  {error['expected']}\n  found     {error['found']}\n  remedy    {error['remedy']}", markup=False
    )


def show(resolved: Plan) -> None:
    """Prints a plan: the sentence, a row per component, the warnings."""
    out.print(f"[bold]{sentence(resolved)}[/]", soft_wrap=True)
    out.print(
        f"{count(resolved.trainable_params)} of {count(resolved.total_params)} parameters train "
        f"({share(resolved.trainable_params, resolved.total_params)})"
    )
    table = Table("component", "tuning", "parameters", "train", "lr", "detail", box=None, pad_edge=False)
    for row in component_rows(resolved):
        table.add_row(
            LABELS.get(row.name, row.name), row.tuning, count(row.params), count(row.trainable_params),
            rate(row.lr) if row.lr is not None else "", row.detail,
        )  # fmt: skip
    out.print(table)
    for warning in resolved.warnings:
        mark = "[red]✗[/]" if warning.severity == "refusal" else "[yellow]![/]"
        out.print(f"{mark} {warning.message} {warning.remedy}", soft_wrap=True)
