"""The command that compares: contenders from rules, presets or files; the board, or which part pays."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..core.numbers import number
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from .console import app, err, mendable, out
from .options import AsJson, BatchSize, Data, EvalData, ImageRoot, MaxLength, Source, to_strategy, trainable
from .rows import print_rows, rows_to_dict

if TYPE_CHECKING:
    from ..core.comparison.board import Board

_USUAL = ("plain/projector", "plain/lora", "plain/projector-lora")


@app.command()
@mendable
def compare(
    source: Source = "demo",
    contender: Annotated[
        list[str] | None,
        typer.Option(
            "--contender",
            "-c",
            help="'name: projector=full, language_model=lora:8, lr=1e-3, lr.projector=1e-4', a preset, or a strategy file. "
            "Repeatable; without any, three usual choices.",
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of every run.")] = 30,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per contender.")] = 3,
    data: Data = None,
    image_root: ImageRoot = None,
    batch_size: BatchSize = 2,
    max_length: MaxLength = None,
    eval_data: EvalData = None,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Instead: every choice of frozen, full and LoRA per part.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train several strategies in turns, from one start on the same batches, and say which is better or too close to call."""
    from ..core.recipes.plain_presets import PLAIN
    from ..engine.comparison.ablation import ablation as ablate
    from ..engine.comparison.compare import compare as run
    from ..engine.model.read import read_tree

    model, batches, eval_batches = trainable(
        source, data, eval_data, image_root=image_root, batch_size=batch_size, max_length=max_length
    )
    tree = read_tree(model)
    usual = [name for name in _USUAL if PLAIN[name].fits(tree)]
    wanted: dict[str, Strategy] = {}
    for text in contender or usual:
        name, strategy = _contender(text, tree)
        if name in wanted:
            raise typer.BadParameter(f"Two contenders are called {name!r}: give each a name of its own, 'name: rules'.")
        wanted[name] = strategy
    with Progress(
        TextColumn("{task.completed} steps"), BarColumn(), TextColumn("{task.fields[at]}", markup=False),
        TimeRemainingColumn(), console=err,
    ) as bar:  # fmt: skip
        task = bar.add_task("compare", total=None if ablation else len(wanted) * steps * seeds, at="")

        def show_step(step: Any) -> None:  # a ComparedStep; its module imports torch
            bar.update(task, advance=1, at=f"{step.name}, seed {step.seed}: loss {step.record.loss:.3g}")

        given: dict[str, Any] = {"eval_batches": eval_batches, "steps": steps, "seeds": seeds, "on_step": show_step}
        if ablation:
            found = ablate(model, batches, **given)
            board = found.board
        else:
            board = run(model, wanted, batches, **given)
    print_rows(batches, eval_batches)
    if as_json:
        rows = {"rows": rows_to_dict(batches), "eval_rows": rows_to_dict(eval_batches)}
        worths = {"sentence": found.sentence, "worths": found.rows()} if ablation else {}
        print(json.dumps({**_plain(board), **worths, **rows}))
        return
    if ablation:
        out.print(found.sentence, style="bold", markup=False, soft_wrap=True)
    out.print(board)


def _contender(text: str, tree: ModuleTree) -> tuple[str, Strategy]:
    """Name and strategy of one -c."""
    name, colon, rules = text.partition(":")
    if not colon or "=" in name:
        path = Path(text)
        if path.is_file():
            return path.stem, Strategy.load(path)
        if "=" not in text:
            return text, to_strategy(tree, None, None, None, text)
        name, rules = text, text
    found: list[str] = []
    rates: list[str] = []
    for part in filter(None, (p.strip() for p in rules.split(","))):
        target, _, value = part.partition("=")
        if target == "lr":
            rates.append(value)
        elif target.startswith("lr."):
            rates.append(f"{target.removeprefix('lr.')}={value}")
        else:
            found.append(part)
    if not found:
        raise typer.BadParameter(f"{text!r} trains nothing: write 'name: projector=full, lr=1e-3'.")
    return name.strip(), to_strategy(tree, found, rates, None, None)


def _plain(board: Board) -> dict[str, Any]:
    rows = []
    for row in board.rows():
        one = row["behind_best"]
        behind = None if one is None else {
            "mean": one.mean, "low": number(one.low), "high": number(one.high), "call": one.call
        }  # fmt: skip
        kept = {k: number(v) if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        rows.append({**kept, "behind_best": behind, "strategy": board[row["name"]].strategy.to_dict()})
    return {
        "sentence": board.sentence, "winner": board.winner, "measured": board.measured, "contenders": rows,
        "notes": list(board.notes),
    }  # fmt: skip
