"""Commands that train: burst, probe, launch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .console import app, complain, err, mendable
from .options import (
    Accumulation,
    AsJson,
    BatchSize,
    Checkpointing,
    Data,
    EvalData,
    File,
    ImageRoot,
    MaxLength,
    Optimizer,
    Precision,
    PresetName,
    Rates,
    Rules,
    Scheduler,
    Source,
    to_strategy,
    trainable,
)
from .rows import print_rows, rows_to_dict


@app.command()
@mendable
def burst(
    source: Source = "demo",
    rules: Rules = None,
    lr: Rates = None,
    strategy: File = None,
    preset: PresetName = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 50,
    data: Data = None,
    image_root: ImageRoot = None,
    batch_size: BatchSize = 2,
    max_length: MaxLength = None,
    eval_data: EvalData = None,
    accumulation: Accumulation = 1,
    precision: Precision = "auto",
    checkpointing: Checkpointing = None,
    optimizer: Optimizer = "adamw",
    scheduler: Scheduler = "constant",
    save: Annotated[Path | None, typer.Option(help="A new folder for the result.")] = None,
    save_run: Annotated[
        Path | None, typer.Option("--save-run", help="Below this folder the run writes itself down as it goes.")
    ] = None,
    report_to: Annotated[
        list[str] | None, typer.Option("--report-to", help="trackio, tensorboard or wandb. Repeatable.")
    ] = None,
    seed: int = 0,
    loss_positions: Annotated[
        str, typer.Option("--loss-positions", help="Where logits are computed: all, or labels (faster).")
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """Train for a few steps, print the verdicts, and leave the model files alone."""
    from ..engine.burst.burst import Burst

    model, batches, eval_batches = trainable(
        source, data, eval_data, image_root=image_root, batch_size=batch_size, max_length=max_length
    )
    from ..engine.model.read import read_tree

    found = read_tree(model)
    running = Burst(
        model,
        to_strategy(found, rules, lr, strategy, preset),
        batches,
        steps=steps,
        seed=seed,
        accumulation=accumulation,
        precision=precision,
        checkpointing=checkpointing or False,
        optimizer=optimizer,
        scheduler=scheduler,
        loss_positions=loss_positions,
        eval_batches=eval_batches,
        run_folder=save_run,
        report_to=report_to,
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
    print_rows(batches, eval_batches)
    if (folder := running.recording.folder) is not None:
        err.print(f"Recorded in {folder}", markup=False, soft_wrap=True)
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
                    "rows": rows_to_dict(batches),
                    "eval_rows": rows_to_dict(eval_batches),
                    "stopped_early": result.stopped_early,
                    "loss_positions": result.loss_positions.way if result.loss_positions else None,
                    "run_folder": None if folder is None else str(folder),
                }
            )
        )
    else:
        print(repr(result))
    if any(v.status == "failure" for v in result.verdicts):
        raise typer.Exit(3)


@app.command()
@mendable
def probe(
    source: Source = "demo",
    rules: Rules = None,
    lr: Rates = None,
    strategy: File = None,
    preset: PresetName = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps.")] = 3,
    data: Data = None,
    image_root: ImageRoot = None,
    batch_size: BatchSize = 2,
    max_length: MaxLength = None,
    open_all: Annotated[
        bool, typer.Option("--open", help="Also ask what gradient the frozen parts would get.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prove in a few steps that each part trains, and name the cause where one does not."""
    from ..engine.model.read import read_tree
    from ..engine.probe.probe import probe as prove

    model, batches, _ = trainable(source, data, image_root=image_root, batch_size=batch_size, max_length=max_length)
    wanted = to_strategy(read_tree(model), rules, lr, strategy, preset)
    with err.status(f"{steps} steps"):
        report = prove(model, wanted, batches, steps=steps, open_all=open_all)
    print_rows(batches)
    print(json.dumps({**report.to_dict(), "rows": rows_to_dict(batches)}) if as_json else report)
    if any(finding.severity == "failure" for finding in report.findings):
        raise typer.Exit(3)


@app.command()
@mendable
def launch(
    recipe: Annotated[Path, typer.Argument(help="A recipe that vf.write_recipe wrote.", exists=True, dir_okay=False)],
    processes: Annotated[int, typer.Option(min=1, help="How many, one per GPU.")] = 1,
    cpu: Annotated[bool, typer.Option("--cpu", help="Use no GPU.")] = False,
    fsdp: Annotated[bool, typer.Option("--fsdp", help="Split weights, gradients and optimizer over them.")] = False,
) -> None:
    """Train a recipe on several processes of this machine; a page can follow its run folder."""
    from ..launch.command import launch as run
    from ..launch.follow import follow
    from ..launch.recipe import Recipe

    output = Recipe.load(recipe).output
    code = run(recipe, output, processes, cpu, fsdp)
    if code:
        # Said again at the end: torchrun's own traceback pushes it out of sight.
        with follow(output) as run_of:
            complain(run_of.wait(2.0).error)
    raise typer.Exit(code)
