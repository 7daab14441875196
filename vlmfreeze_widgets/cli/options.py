"""Options that several commands share, and what they stand for: a tree, a model with batches, a strategy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.strategy import Strategy
from ..core.tree import ModuleTree

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
        "--trainer",
        "--to",
        help="llamafactory, ms-swift, llava, llava-next, qwen-vl-finetune, qwen-vl-series-finetune, internvl, zero-nlp, unsloth, "
        "axolotl, peft, trl-sft, trainer or trl.",
    ),
]
PresetName = Annotated[str | None, typer.Option("--preset", help="A published stage, such as llava-1.5/pretrain.")]


def tree_of(source: str) -> ModuleTree:
    """The tree of a source; 'demo' is the shipped model."""
    from ..engine.read import read_tree

    if source == "demo":
        from ..demo.bundle import load_demo

        return read_tree(load_demo().model, title="tiny-llava")
    return read_tree(source)


def trainable(source: str, data: Path | None) -> tuple[Any, Any, Any]:
    """The model, its micro-batches and its held-out ones."""
    from ..adapters.transformers_processors import load_processor
    from ..adapters.transformers_weights import load

    if source == "demo":
        from ..demo.bundle import load_demo

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
    from ..data.load import load_batches

    return model, load_batches(data, processor or load_processor(source), model=model), None


def strategy_of(
    tree: ModuleTree,
    rules: list[str] | None,
    lr: list[str] | None,
    file: Path | None,
    preset: str | None,  # noqa: ANN401
) -> Strategy:
    """The strategy that a command line asks for."""
    from ..core import edits
    from ..core.tuning import Lora

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
