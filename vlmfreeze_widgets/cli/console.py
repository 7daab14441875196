"""The terminal's two consoles, the application that commands join, and how an error is shown. No command is here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from ..core.components import LABELS
from ..core.errors import VlmFreezeError
from ..core.plan import Plan
from ..core.plan_text import component_rows, sentence
from ..core.wording import count, rate, share

app = typer.Typer(
    help="See a vision-language model, choose what trains, run a burst.", no_args_is_help=True, add_completion=False
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def mendable(command: Callable[..., None]) -> Callable[..., None]:
    """Shows errors a person can mend in their three parts, without a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever typer passes
        try:
            command(*args, **kwargs)
        except VlmFreezeError as error:
            if kwargs.get("as_json"):
                print(json.dumps({"error": error.to_dict()}))
            else:
                complain(error.to_dict())
            raise typer.Exit(1) from error

    return wrapped


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
