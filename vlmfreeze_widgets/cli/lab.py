"""The command that opens JupyterLab, and the version."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from .console import app


@app.command()
def lab(
    folder: Annotated[Path, typer.Argument(help="Where the copy of the quickstart goes.")] = Path("vlmfreeze-lessons"),
    port: int = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open JupyterLab on a copy of the quickstart; it works offline."""
    notebook = _quickstart()
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / notebook.name
    if not copy.exists():
        shutil.copyfile(notebook, copy)
    command = [sys.executable, "-m", "jupyterlab", str(copy), "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    raise typer.Exit(subprocess.call(command))


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _quickstart() -> Path:
    here = Path(__file__).resolve().parents[1]
    for path in (here / "lessons" / "01_quickstart.ipynb", here.parent / "notebooks" / "01_quickstart.ipynb"):
        if path.is_file():
            return path
    raise typer.BadParameter("The quickstart notebook is not part of this installation.")
