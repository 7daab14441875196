"""Commands that take settings from another trainer and hand them to one: import, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .console import app, err, mendable, out, show
from .options import AsJson, File, PresetName, Rates, Rules, Source, TrainerName, strategy_of, tree_of


@app.command("import")
@mendable
def import_settings(
    file: Annotated[str, typer.Argument(help="A trainer's YAML, JSON or argument file, or a folder with an adapter.")],
    source: Source = "demo",
    trainer: TrainerName = None,
    save: Annotated[Path | None, typer.Option(help="Where the strategy goes, as YAML or JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a trainer's settings would train, as a plan."""
    from ..core.strategy.resolve import resolve
    from ..trainers.registry import import_strategy

    found = tree_of(source)
    read = import_strategy(file, found, trainer)
    resolved = resolve(read.strategy, found)
    if save is not None:
        read.strategy.save(save)
    if as_json:
        settings = json.loads(json.dumps(dict(read.settings), default=str))
        print(
            json.dumps({**resolved.to_dict(), "trainer": read.trainer, "notes": list(read.notes), "settings": settings})
        )
        return
    out.print(f"{read.trainer}", markup=False)
    show(resolved)
    for note in read.notes:
        out.print(f"· {note}", markup=False, soft_wrap=True)


@app.command("export")
@mendable
def export_settings(
    source: Source = "demo",
    rules: Rules = None,
    lr: Rates = None,
    strategy: File = None,
    preset: PresetName = None,
    trainer: TrainerName = "trainer",
    folder: Annotated[Path | None, typer.Option("--out", help="Where the files go; printed without it.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what the trainer cannot say exactly.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a strategy as a trainer's settings, and say what that trainer does otherwise."""
    from ..trainers.registry import export

    found = tree_of(source)
    wanted = strategy_of(found, rules, lr, strategy, preset)
    done = export(wanted, found, trainer, folder=folder, strict=strict)
    if as_json:
        print(
            json.dumps(
                {"trainer": done.trainer, "exact": done.exact, "notes": list(done.notes), "files": dict(done.files)}
            )
        )
        return
    for name, text in done.files.items() if folder is None else ():
        out.print(f"── {name}", markup=False)
        # Modules of the data path are the same for every plan: --out writes them.
        print(text if "/" not in name else "")
    err.print(f"{done.trainer}: {'exactly the plan' if done.exact else 'not exactly the plan'}", markup=False)
    for note in done.notes:
        err.print(f"· {note}", markup=False, soft_wrap=True)
