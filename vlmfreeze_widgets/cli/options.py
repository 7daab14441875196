"""Options that several commands share, and what they stand for: a tree, a model with batches, a strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.strategy.plan import Plan
from ..core.strategy.resolve import resolve
from ..core.strategy.strategy import Strategy
from ..core.tree.tree import ModuleTree
from .console import err

Source = Annotated[
    str, typer.Argument(help="'demo', a model folder, a config.json, a Hub id, or a checkpoint of the catalogue.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Rules = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        help="A rule such as projector=full, language_model=lora:16 or lora:16:32 (rank, alpha; without it alpha is 32, and the "
        "update is scaled by alpha over rank). Repeatable.",
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
ImageRoot = Annotated[
    Path | None,
    typer.Option(
        "--image-root",
        help="The folder that the pictures' paths begin in; by default that of the data file.",
        exists=True,
        file_okay=False,
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Rows of a micro-batch.")]
MaxLength = Annotated[int | None, typer.Option("--max-length", min=2, help="Most tokens of a row.")]
EvalData = Annotated[Path | None, typer.Option("--eval-data", help="Held-out data, read as --data is.")]
Precision = Annotated[str, typer.Option(help="auto, fp32, bf16-mixed, bf16-pure or fp16.")]
Accumulation = Annotated[int, typer.Option(min=1, help="Micro-batches per optimizer step.")]
Checkpointing = Annotated[
    str | None, typer.Option(help="Recompute activations in the backward pass: non-reentrant, or reentrant.")
]
Optimizer = Annotated[str, typer.Option(help="adamw, adamw8bit, sgd or adafactor.")]
Scheduler = Annotated[str, typer.Option(help="constant, constant_with_warmup, linear or cosine.")]
TrainerName = Annotated[
    str | None,
    typer.Option(
        "--trainer",
        "--to",
        help="llamafactory, ms-swift, llava, llava-next, qwen-vl-finetune, qwen-vl-series-finetune, internvl, zero-nlp, unsloth, "
        "axolotl, peft, trl-sft, trainer or trl.",
    ),
]
PresetName = Annotated[str | None, typer.Option("--preset", help="A published stage, such as llava-1.5/pretrain.")]


def tree_of(source: str) -> ModuleTree:
    """The tree of a source; 'demo' is the shipped model."""
    from ..engine.model.read import read_tree

    if source == "demo":
        from ..demo.bundle import load_demo

        return read_tree(load_demo().model, title="tiny-llava")
    return read_tree(source)


def trainable(
    source: str,
    data: Path | None,
    eval_data: Path | None = None,
    *,
    image_root: Path | None = None,
    batch_size: int = 2,
    max_length: int | None = None,
) -> tuple[Any, Any, Any]:
    """The model, its micro-batches and its held-out ones (None where there are none).

    Args:
        source: "demo", a folder, or a Hub id.
        data: What to train on; only the demo brings its own.
        eval_data: Held out.
        image_root: Of the pictures of both.
        batch_size: Rows of a micro-batch.
        max_length: Most tokens of a row.
    """
    from ..adapters.transformers_processors import load_processor
    from ..adapters.transformers_weights import load

    of_rows = {
        "--image-root": image_root,
        "--max-length": max_length,
        "--batch-size": batch_size if batch_size != 2 else None,
    }
    unused = next((name for name, value in of_rows.items() if value is not None), None)
    files = [path for path in (data, eval_data) if path is not None]
    if unused is not None and all(_has_ready_batches(path) for path in files):
        found = "a folder of batches that are ready" if files else "no --data"
        raise typer.BadParameter(
            f"{unused} is about rows that --data or --eval-data reads; there is {found}. Leave it out."
        )

    if source == "demo":
        from ..demo.bundle import load_demo

        demo = load_demo()
        if data is None and eval_data is None:
            return demo.model, demo.batches, demo.eval_batches
        model, processor = demo.model, demo.processor
    elif data is None:
        raise typer.BadParameter(
            "Your own model needs --data: a file that vf.load_batches reads, or a folder of *.safetensors."
        )
    else:
        model, processor = load(source), None

    def read(path: Path) -> Any:  # batches
        if _has_ready_batches(path):
            from safetensors.torch import load_file

            return [load_file(f) for f in sorted(path.glob("*.safetensors"))]
        from ..data.load import load_batches

        return load_batches(
            path,
            processor or load_processor(source),
            model=model,
            image_root=image_root,
            batch_size=batch_size,
            max_length=max_length,
        )

    batches = demo.batches if data is None else read(data)
    return model, batches, None if eval_data is None else read(eval_data)


def _has_ready_batches(path: Path) -> bool:
    return path.is_dir() and any(path.glob("*.safetensors"))


def to_strategy(
    tree: ModuleTree,
    rules: list[str] | None,
    lr: list[str] | None,
    file: Path | None,
    preset: str | None,
) -> Strategy:
    """The strategy that a command line asks for."""
    from ..core.recipes.presets import chosen_preset
    from ..core.strategy.edits import default_strategy
    from ..core.strategy.tuning import Lora

    if file is not None:
        wanted = Strategy.load(file)
    elif preset is not None:
        wanted = chosen_preset(tree, preset)
    else:
        wanted = Strategy() if rules else default_strategy(tree)
    for rule in rules or ():
        target, equals, tuning = rule.partition("=")
        if not equals:
            raise typer.BadParameter(f"{rule!r} is no rule: write target=frozen, target=full or target=lora:16.")
        kind, *numbers = tuning.split(":")
        if numbers and (kind != "lora" or len(numbers) > 2 or not all(n.isdigit() and int(n) for n in numbers)):
            raise typer.BadParameter(
                f"{rule!r} is no rule: write lora:RANK or lora:RANK:ALPHA with whole numbers, such as lora:8:16."
            )
        rank_alpha: dict[str, Any] = dict(zip(("rank", "alpha"), map(int, numbers), strict=False))
        wanted = wanted.with_rule(target, Lora(**rank_alpha) if numbers else kind)
    for value in lr or ():
        target, equals, number = value.rpartition("=")
        wanted = wanted.with_lr(target if equals else "", number)  # type: ignore[arg-type]  # checked and read by Strategy
    if lr:
        _tell_unused(resolve(wanted, tree))
    return wanted


def _tell_unused(plan: Plan) -> None:
    """What the strategy says of its own parts wins over --lr; a rate that reaches nothing must not look as if it did."""
    for warning in plan.warnings:
        if warning.code == "unused-rate":
            err.print(f"! {warning.message} {warning.remedy}", markup=False, soft_wrap=True)
