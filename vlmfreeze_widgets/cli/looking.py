"""Commands that look and run nothing: tree, catalog, presets, plan, cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from ..core.language.format import size
from ..core.tree.facts import tree_facts
from ..core.tree.text import tree_text
from .console import app, mendable, out, show
from .options import AsJson, File, PresetName, Rates, Rules, Source, to_strategy, trainable, tree_of


@app.command()
@mendable
def tree(
    source: Source = "demo",
    depth: Annotated[int, typer.Option(min=0, help="Levels shown.")] = 4,
    as_json: AsJson = False,
) -> None:
    """Print where a model keeps its parameters; reads no weights."""
    found = tree_of(source)
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
@mendable
def catalog(as_json: AsJson = False) -> None:
    """List the checkpoints that can be planned with offline."""
    from ..core.tree.catalog import catalog as entries

    if as_json:
        print(json.dumps([asdict(entry) for entry in entries().values()]))
    else:
        print(entries())


@app.command()
@mendable
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
    from ..core.recipes.published import published
    from ..core.strategy.resolve import resolve

    found = tree_of(source)
    resolved = resolve(to_strategy(found, rules, lr, strategy, preset), found)
    stage = published(preset, found)[0] if preset is not None and strategy is None else None
    notes = [] if stage is None else [*stage.notes, *filter(None, [stage.scale_note(batch) if batch else ""])]
    if as_json:
        print(json.dumps({**resolved.to_dict(), "notes": notes}))
        return
    show(resolved)
    for note in notes:
        out.print(f"· {note}", markup=False, soft_wrap=True)
    resolved.check()


@app.command()
@mendable
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
    from ..core.recipes.presets import presets as all_presets
    from ..core.recipes.published import published
    from ..core.recipes.text import what_trains

    found = None if source is None else tree_of(source)
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


@app.command()
@mendable
def cost(
    source: Source = "demo",
    rules: Rules = None,
    lr: Rates = None,
    strategy: File = None,
    preset: PresetName = None,
    gpu: Annotated[
        str | None, typer.Option(help="A GPU, such as 'A100 80GB', or its memory in GB, such as 24.")
    ] = None,
    gpus: Annotated[int, typer.Option(min=1, help="How many share, for DDP, FSDP2 and ZeRO.")] = 1,
    batch: Annotated[int, typer.Option(min=1, help="Rows of a micro-batch.")] = 1,
    tokens: Annotated[int | None, typer.Option(min=1, help="Text tokens per row.")] = None,
    picture: Annotated[int | None, typer.Option(min=1, help="Side of a picture in pixels.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Of the weights, such as bfloat16, or nf4 (QLoRA).")] = None,
    optimizer: Annotated[str, typer.Option(help="adamw, adamw8bit, sgd or adafactor.")] = "adamw",
    checkpointing: Annotated[bool, typer.Option("--checkpointing", help="Recompute activations.")] = False,
    precision: Annotated[str, typer.Option(help="As of a burst.")] = "auto",
    accumulation: Annotated[int, typer.Option(min=1, help="Micro-batches per step.")] = 1,
    loss_positions: Annotated[
        str, typer.Option(help="Where logits are computed: all, or labels (the faster burst).")
    ] = "all",
    switches: Annotated[bool, typer.Option("--switches", help="What other choices would save.")] = False,
    as_json: AsJson = False,
) -> None:
    """Estimate memory and time of a training step; nothing is allocated."""
    from ..core.cost.gpus import memory_of
    from ..core.cost.text import fit_text
    from ..core.strategy.resolve import resolve
    from ..engine.cost.alternatives import cost_switches, largest_batch
    from ..engine.cost.estimate import estimate_cost, model_and_tree

    memory = None if gpu is None else memory_of(gpu)
    loaded = trainable(source, None)[0] if source == "demo" else source
    model, found = model_and_tree(loaded, None)
    resolved = resolve(to_strategy(found, rules, lr, strategy, preset), found)
    how: dict[str, Any] = {
        "picture_size": picture, "text_tokens": tokens, "dtype": dtype, "optimizer": optimizer,
        "checkpointing": checkpointing, "precision": precision, "accumulation": accumulation,
        "loss_positions": loss_positions,
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
            read["largest_batch_is_limit"] = largest.is_limit if largest else None
            read["gpus_fit"] = {s.scheme: s.fits(memory) for s in shards}
        print(json.dumps({**read, "switches": {s.name: s.saved_bytes for s in other}}))
        return
    print(estimated)
    if memory is not None:
        is_limit = largest is None or largest.is_limit
        print(fit_text(estimated, memory, largest.rows if largest else None, is_limit))
    for shard in shards:
        fits = "" if memory is None else ", fits" if shard.fits(memory) else ", does not fit"
        print(f"  {shard.scheme:<6} on {gpus} GPUs: {size(shard.peak_bytes)} each{fits}")
    for switch in other:
        print(f"  {switch}")
