"""The command ``vlmfreeze``: look, presets, plan, cost, probe, burst, launch, import, export, lab. It says what the library says.

Long because typer reads each command's options from its signature.

Exit codes: 0 done, 1 an error a person can mend (shown in its three parts), 2 a wrong command line, 3 a part that does not train.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from . import __version__
from .core.components import LABELS
from .core.errors import VlmFreezeError
from .core.plan import Plan
from .core.plan_text import component_rows, sentence
from .core.strategy import Strategy
from .core.tree import ModuleTree
from .core.tree_facts import tree_facts
from .core.tree_text import tree_text
from .core.wording import count, rate, share, size

app = typer.Typer(
    help="See a vision-language model, choose what trains, run a burst.", no_args_is_help=True, add_completion=False
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Source = Annotated[
    str, typer.Argument(help="'demo', a model folder, a config.json, a Hub id, or a checkpoint of the catalogue.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="A rule such as projector=full, language_model=lora:16 or lora:16:32 (rank, alpha). Repeatable.",
    ),
]
Rates = Annotated[list[str] | None, typer.Option("--lr", help="A rate: 1e-3 for all, or projector=1e-3. Repeatable.")]
File = Annotated[Path | None, typer.Option("--strategy", help="A strategy file (YAML or JSON).", exists=True)]
Data = Annotated[
    Path | None,
    typer.Option(
        help="A file that vf.load_batches reads (LLaVA, chat, sharegpt, captions), or a folder of *.safetensors batches."
    ),
]
TrainerName = Annotated[
    str | None,
    typer.Option(
        "--trainer", "--to", help="llamafactory, ms-swift, llava, zero-nlp, unsloth, axolotl, peft or trainer."
    ),
]
PresetName = Annotated[
    str | None,
    typer.Option("--preset", help="A published stage, such as llava-1.5/pretrain."),
]


def main() -> None:
    """The console script."""
    app()


def _mendable(command: Callable[..., None]) -> Callable[..., None]:
    """Shows errors a person can mend in their three parts, without a traceback."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever typer passes
        try:
            command(*args, **kwargs)
        except VlmFreezeError as error:
            if kwargs.get("as_json"):
                print(json.dumps({"error": error.to_dict()}))
            else:
                _complain(error.to_dict())
            raise typer.Exit(1) from error

    return wrapped


def _complain(error: Mapping[str, str] | None) -> None:
    if error is None:
        return
    err.print(error["message"], style="bold red", markup=False, soft_wrap=True)
    err.print(
        f"  expected  {error['expected']}\n  found     {error['found']}\n  remedy    {error['remedy']}", markup=False
    )


@app.command()
@_mendable
def tree(
    source: Source = "demo", depth: Annotated[int, typer.Option(help="Levels shown.")] = 4, as_json: AsJson = False
) -> None:
    """Print where a model keeps its parameters; reads no weights."""
    found = _tree(source)
    if as_json:
        print(
            json.dumps(
                {
                    "title": found.title,
                    "total_params": found.total_params,
                    "active_params": found.active_params,
                    "dtype": found.dtype,
                    "buffers": found.buffers,
                    "facts": tree_facts(found),
                    "components": {
                        name: {
                            "paths": list(paths),
                            "params": found.component_params(name),
                            "active_params": found.component_active(name),
                        }
                        for name, paths in found.components.items()
                    },
                    "nodes": [
                        {"path": n.path, "class": n.class_name, "params": n.total_params, "component": n.component}
                        for n in found.nodes
                    ],
                }
            )
        )
    else:
        print(tree_text(found, depth))


@app.command()
@_mendable
def catalog(as_json: AsJson = False) -> None:
    """List the checkpoints that can be planned with offline."""
    from .core.catalog import catalog as entries

    if as_json:
        print(json.dumps([asdict(entry) for entry in entries().values()]))
    else:
        print(entries())


@app.command()
@_mendable
def plan(
    source: Source = "demo",
    rules: Rules = None,
    lr: Rates = None,
    strategy: File = None,
    preset: PresetName = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Your rows per step, for a note beside a preset.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a strategy would train, before anything runs."""
    from .core.published import published
    from .core.resolve import resolve

    found = _tree(source)
    resolved = resolve(_strategy(found, rules, lr, strategy, preset), found)
    stage = published(preset, found)[0] if preset is not None and strategy is None else None
    notes = [] if stage is None else [*stage.notes, *filter(None, [stage.scale_note(batch) if batch else ""])]
    if as_json:
        print(json.dumps({**resolved.to_dict(), "notes": notes}))
        return
    _show(resolved)
    for note in notes:
        out.print(f"· {note}", markup=False, soft_wrap=True)
    resolved.check()


@app.command()
@_mendable
def presets(
    source: Annotated[
        str | None, typer.Argument(help="Only what fits this model: 'demo', a folder, a Hub id, a checkpoint.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--show", help="All that is known of one recipe, such as llava-1.5.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Your rows per step: notes what two rules would scale.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List published recipes with their sources, or show one."""
    from .core.presets import presets as all_presets
    from .core.published import published
    from .core.stages_text import what_trains

    found = None if source is None else _tree(source)
    if name is not None:
        stages = published(name, found)
        notes = stages.scale_notes(batch) if batch else ()
        if as_json:
            print(json.dumps({**stages.to_dict(), "scale_notes": list(notes)}))
            return
        print(stages)
        for note in notes:
            out.print(f"· {note}", markup=False, soft_wrap=True)
        return
    listed = all_presets(found)
    if as_json:
        print(json.dumps([{"preset": p.name, "label": p.label, **p.stage.to_dict()} for p in listed]))
        return
    table = Table("preset", "what trains", "how long", "source", box=None, pad_edge=False)
    for p in listed:
        table.add_row(p.name, what_trains(p.strategy), p.batch, p.source)
    out.print(table)


def _show(resolved: Plan) -> None:
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


@app.command()
@_mendable
def cost(
    source: Source = "demo",
    rules: Rules = None,
    strategy: File = None,
    preset: PresetName = None,
    gpu: Annotated[
        str | None, typer.Option(help="A GPU, such as 'A100 80GB', or its memory in GB, such as 24.")
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="How many share, for DDP, FSDP2 and ZeRO.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Rows of a micro-batch.")] = 1,
    tokens: Annotated[int | None, typer.Option(min=1, help="Text tokens per row.")] = None,
    picture: Annotated[int | None, typer.Option(min=1, help="Side of a picture in pixels.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the weights, such as bfloat16.")] = None,
    optimizer: Annotated[str, typer.Option(help="adamw, adamw8bit, sgd or adafactor.")] = "adamw",
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help="Recompute activations.")] = False,
    precision: Annotated[str, typer.Option(help="As of a burst.")] = "auto",
    accumulation: Annotated[int, typer.Option(min=1, help="Micro-batches per step.")] = 1,
    switches: Annotated[bool, typer.Option("--switches", help="What other choices would save.")] = False,
    as_json: AsJson = False,
) -> None:
    """Foretell memory and time of a training step; nothing is allocated."""
    from .core.cost_text import fit_text
    from .core.devices import memory_of
    from .core.resolve import resolve
    from .engine.cost import estimate_cost, model_and_tree
    from .engine.cost_choices import cost_switches, largest_batch

    memory = None if gpu is None else memory_of(gpu)
    loaded = _trainable(source, None)[0] if source == "demo" else source
    model, found = model_and_tree(loaded, None)
    resolved = resolve(_strategy(found, rules, None, strategy, preset), found)
    how: dict[str, Any] = {
        "picture_size": picture, "text_tokens": tokens, "dtype": dtype, "optimizer": optimizer,
        "checkpointing": checkpointing, "precision": precision, "accumulation": accumulation,
    }  # fmt: skip
    estimated = estimate_cost(model, resolved, rows=batch, **how)
    largest = largest_batch(model, resolved, memory, **how) if memory and not estimated.is_bound else None
    other = cost_switches(model, resolved, rows=batch, **how) if switches else ()
    shards = (
        [estimated.on_gpus(gpus, scheme) for scheme in ("ddp", "fsdp2", "zero1", "zero2", "zero3")] if gpus > 1 else []
    )
    if as_json:
        read = {**estimated.to_dict(), "gpus": {s.scheme: s.peak_bytes for s in shards}}
        if memory is not None:
            read |= {"fits": estimated.fits(memory), "largest_batch": largest.rows if largest else None}
        print(json.dumps({**read, "switches": {s.name: s.saved_bytes for s in other}}))
        return
    print(estimated)
    if memory is not None:
        print(fit_text(estimated, memory, largest.rows if largest else None))
    for shard in shards:
        print(f"  {shard.scheme:<6} on {gpus} GPUs: {size(shard.peak_bytes)} each")
    for switch in other:
        print(f"  {switch}")


@app.command()
@_mendable
def burst(
    source: Source = "demo",
    rules: Rules = None,
    lr: Rates = None,
    strategy: File = None,
    preset: PresetName = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 50,
    data: Data = None,
    save: Annotated[Path | None, typer.Option(help="A new folder for the result.")] = None,
    seed: int = 0,
    as_json: AsJson = False,
) -> None:
    """Train for a few steps, print the verdicts, and leave the model files alone."""
    from .engine.burst import Burst

    model, batches, eval_batches = _trainable(source, data)
    from .engine.read import read_tree

    found = read_tree(model)
    running = Burst(
        model, _strategy(found, rules, lr, strategy, preset), batches, steps=steps, seed=seed, eval_batches=eval_batches
    )
    with Progress(
        TextColumn("step {task.completed}/{task.total}"), BarColumn(), TextColumn("loss {task.fields[loss]}"),
        TextColumn("grad {task.fields[grad]}"), TimeRemainingColumn(), console=err, transient=False,
    ) as bar:  # fmt: skip
        task = bar.add_task("burst", total=steps, loss="…", grad="…")
        try:
            result = running.run(
                lambda r: bar.update(task, completed=r.step, loss=f"{r.loss:.3g}", grad=f"{r.grad_norm:.2g}")
            )
        except KeyboardInterrupt:
            running.stop()
            result = running.result()
    if save is not None:
        result.save(save)
    if as_json:
        verdicts = [{"component": v.component, "status": v.status, "text": v.text} for v in result.verdicts]
        last = result.history[-1] if len(result.history) else None
        print(
            json.dumps(
                {
                    "steps": len(result.history),
                    "loss": [r.loss for r in result.history],
                    "grad_norm": [r.grad_norm for r in result.history],
                    "eval_loss": last.eval_loss if last else None,
                    "verdicts": verdicts,
                    "stopped_early": result.stopped_early,
                }
            )
        )
    else:
        print(repr(result))
    if any(v.status == "failure" for v in result.verdicts):
        raise typer.Exit(3)


@app.command()
@_mendable
def probe(
    source: Source = "demo",
    rules: Rules = None,
    lr: Rates = None,
    strategy: File = None,
    preset: PresetName = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 3,
    data: Data = None,
    open_all: Annotated[
        bool, typer.Option("--open", help="Also ask what gradient the frozen parts would get.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove in a few steps that each part trains, and name the cause where one does not."""
    from .engine.probe import probe as prove
    from .engine.read import read_tree

    model, batches, _ = _trainable(source, data)
    wanted = _strategy(read_tree(model), rules, lr, strategy, preset)
    with err.status(f"{steps} steps"):
        report = prove(model, wanted, batches, steps=steps, open_all=open_all)
    print(json.dumps(report.to_dict()) if as_json else report)
    if any(finding.severity == "failure" for finding in report.findings):
        raise typer.Exit(3)


@app.command()
@_mendable
def launch(
    recipe: Annotated[Path, typer.Argument(help="A recipe that vf.write_recipe wrote.", exists=True, dir_okay=False)],
    processes: Annotated[int, typer.Option(min=1, help="How many, one per GPU.")] = 1,
    cpu: Annotated[bool, typer.Option("--cpu", help="Use no GPU.")] = False,
    fsdp: Annotated[bool, typer.Option("--fsdp", help="Split weights, gradients and optimizer over them.")] = False,
) -> None:
    """Train a recipe on several processes of this machine; a page can follow its run folder."""
    from .launch.command import launch as run
    from .launch.follow import follow
    from .launch.recipe import Recipe

    output = Recipe.load(recipe).output
    code = run(recipe, output, processes, cpu, fsdp)
    if code:
        # Said again at the end: torchrun's own traceback pushes it out of sight.
        with follow(output) as run_of:
            _complain(run_of.wait(2.0).error)
    raise typer.Exit(code)


@app.command("import")
@_mendable
def import_settings(
    file: Annotated[str, typer.Argument(help="A trainer's YAML, JSON or argument file, or a folder with an adapter.")],
    source: Source = "demo",
    trainer: TrainerName = None,
    save: Annotated[Path | None, typer.Option(help="Where the strategy goes, as YAML or JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print what a trainer's settings would train, as a plan."""
    from .core.resolve import resolve
    from .trainers.registry import import_strategy

    found = _tree(source)
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
    _show(resolved)
    for note in read.notes:
        out.print(f"· {note}", markup=False, soft_wrap=True)


@app.command("export")
@_mendable
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
    from .trainers.registry import export

    found = _tree(source)
    wanted = _strategy(found, rules, lr, strategy, preset)
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
        print(text)
    err.print(f"{done.trainer}: {'exactly the plan' if done.exact else 'not exactly the plan'}", markup=False)
    for note in done.notes:
        err.print(f"· {note}", markup=False, soft_wrap=True)


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
    here = Path(__file__).resolve().parent
    for path in (here / "lessons" / "01_quickstart.ipynb", here.parent / "notebooks" / "01_quickstart.ipynb"):
        if path.is_file():
            return path
    raise typer.BadParameter("The quickstart notebook is not part of this installation.")


def _tree(source: str) -> ModuleTree:
    from .engine.read import read_tree

    if source == "demo":
        from .demo.bundle import load_demo

        return read_tree(load_demo().model, title="tiny-llava")
    return read_tree(source)


def _trainable(source: str, data: Path | None) -> tuple[Any, Any, Any]:
    from .adapters.transformers_models import load_processor
    from .adapters.transformers_weights import load

    if source == "demo":
        from .demo.bundle import load_demo

        demo = load_demo()
        if data is None:
            return demo.model, demo.batches, demo.eval_batches
        model, processor = demo.model, demo.processor
    elif data is None:
        raise typer.BadParameter(
            "Your own model needs --data: a file that vf.load_batches reads, or a folder of *.safetensors."
        )
    else:
        model, processor = load(source), None
    if data.is_dir() and (files := sorted(data.glob("*.safetensors"))):
        from safetensors.torch import load_file

        return model, [load_file(f) for f in files], None
    from .data.load import load_batches

    return model, load_batches(data, processor or load_processor(source), model=model), None


def _strategy(
    tree: ModuleTree,
    rules: list[str] | None,
    lr: list[str] | None,
    file: Path | None,
    preset: str | None,  # noqa: ANN401
) -> Strategy:
    from .core import edits
    from .core.tuning import Lora

    if file is not None:
        wanted = Strategy.load(file)
    elif preset is not None:
        wanted = edits.set_preset(tree, preset)
    else:
        wanted = Strategy() if rules else edits.default_strategy(tree)
    for rule in rules or ():
        target, equals, tuning = rule.partition("=")
        if not equals:
            raise typer.BadParameter(f"{rule!r} is no rule: write target=frozen, target=full or target=lora:16.")
        kind, *numbers = tuning.split(":")
        if numbers and (kind != "lora" or len(numbers) > 2 or not all(n.isdigit() and int(n) for n in numbers)):
            raise typer.BadParameter(
                f"{rule!r} is no rule: write lora:RANK or lora:RANK:ALPHA with whole numbers, such as lora:8:16."
            )
        rank_alpha = dict(zip(("rank", "alpha"), map(int, numbers), strict=False))
        wanted = wanted.with_rule(target, Lora(**rank_alpha) if numbers else kind)
    for value in lr or ():
        target, equals, number = value.rpartition("=")
        wanted = wanted.with_lr(target if equals else "", number)  # type: ignore[arg-type]  # checked and read by Strategy
    return wanted


if __name__ == "__main__":
    main()
