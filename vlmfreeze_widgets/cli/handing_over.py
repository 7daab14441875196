"""Commands that take settings from another trainer and hand them to one: import, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.shorten import shorten
from .console import app, err, mendable, out, show
from .options import AsJson, File, PresetName, Rates, Rules, Source, TrainerName, to_strategy, tree_of


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


def _burst_settings(given: list[str] | None) -> Any:  # BurstSettings, or None
    """The settings of a burst, from files and single values; later ones win."""
    from ..adapters import yaml_text
    from ..core.errors import BadConfig
    from ..engine.settings import BurstSettings

    if not given:
        return None
    held: dict[str, Any] = {}
    for text in given:
        if "=" in text:
            held |= _named([text], "--settings steps=60")
            continue
        try:
            read = yaml_text.load(Path(text).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            read = error
        if not isinstance(read, dict):
            raise BadConfig(
                "These settings of a burst cannot be read.",
                expected="NAME=VALUE, or a JSON or YAML file of the settings of a burst",
                found=shorten(f"{text}: {read}", 200),
                remedy="Write --settings steps=60, or save burst.settings.to_dict() as JSON.",
            )
        held |= read
    return BurstSettings.from_dict(held)


def _named(given: list[str] | None, example: str) -> dict[str, Any]:
    """NAME=VALUE, values as YAML reads them."""
    from ..adapters import yaml_text

    held = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise typer.BadParameter(f"{text!r} is no setting: write, for example, {example}.")
        try:
            held[name] = yaml_text.load(value)
        except ValueError:
            held[name] = value
    return held


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
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--settings",
            help="A burst's setting, such as steps=60 or optimizer=sgd, or a JSON or YAML file of them: written in the trainer's "
            "words. Repeatable.",
        ),
    ] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of a micro-batch, written with --settings.")] = None,
    also: Annotated[
        list[str] | None,
        typer.Option("--also", help="A setting of the trainer's own, such as output_dir=runs/1. Repeatable."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what the trainer cannot say exactly.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a strategy as a trainer's settings, and say what that trainer does otherwise."""
    from ..trainers.registry import export

    found = tree_of(source)
    wanted = to_strategy(found, rules, lr, strategy, preset)
    done = export(
        wanted, found, trainer, folder=folder, strict=strict, settings=_burst_settings(settings), rows=rows,
        **_named(also, "--also output_dir=runs/1"),
    )  # fmt: skip
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
