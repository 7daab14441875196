"""The command that opens JupyterLab on the lessons, and the version."""

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
    folder: Annotated[Path, typer.Argument(help="Where the copies of the lessons go.")] = Path("vlmfreeze-lessons"),
    port: int = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open JupyterLab on a copy of the lessons; they work offline. Copies that are there already stay as they are."""
    lessons = _lessons()
    folder.mkdir(parents=True, exist_ok=True)
    for lesson in lessons:
        if not (folder / lesson.name).exists():
            shutil.copyfile(lesson, folder / lesson.name)
    first = str(folder / lessons[0].name)
    command = [sys.executable, "-m", "jupyterlab", first, "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
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


def _lessons() -> list[Path]:
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "lessons", here.parent / "notebooks"):
        if found := sorted(folder.glob("*.ipynb")):
            return found
    raise typer.BadParameter("The lessons are not part of this installation.")
