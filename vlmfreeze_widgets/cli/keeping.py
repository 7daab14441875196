"""Commands on what was kept of runs: runs, diff, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..core.language.format import count
from .console import app, err, mendable, out
from .options import AsJson

Folder = Annotated[
    Path, typer.Argument(help="A run folder, or the folder of a saved result.", exists=True, file_okay=False)
]


@app.command()
@mendable
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder of all runs.")] = Path("vlmfreeze-runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs below a folder, the newest last."""
    from ..engine.runs.load import rows_below

    rows, spoilt = rows_below(folder)
    for row in spoilt:
        err.print(f"{row['name']} cannot be read: {row['problem']}", markup=False, soft_wrap=True)
    if as_json:
        print(json.dumps(rows))
        return
    if not rows:
        err.print(f"There are no runs below {folder}.", markup=False, soft_wrap=True)
        return
    table = Table("run", "phase", "steps", "loss", "held-out", "train", "what", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            row["name"], row["phase"], f"{row['steps']} / {row['of'] or '?'}", _number(row["loss"]), _number(row["eval_loss"]),
            "" if row["trainable_params"] is None else count(row["trainable_params"]), row["strategy"],
        )  # fmt: skip
    out.print(table)


@app.command()
@mendable
def diff(here: Folder, there: Folder, as_json: AsJson = False) -> None:
    """Say what was otherwise in another run: strategy, settings, data, releases, curves."""
    from ..engine.runs.load import load_run

    found = load_run(here).diff(load_run(there))
    print(json.dumps(found.to_dict()) if as_json else found)


@app.command()
@mendable
def report(
    folder: Folder,
    path: Annotated[Path, typer.Argument(help="The HTML file.")] = Path("report.html"),
    title: Annotated[str | None, typer.Option(help="At its top.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a run as one HTML file that opens without kernel or network."""
    from ..report import report as write

    out.print(str(write(folder, path, title=title, overwrite=overwrite)), markup=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
