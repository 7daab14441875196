"""A cost in sentences for the page: does it fit, how long is a step, what do switches do. Numbers come from ``core.cost``."""

from __future__ import annotations

from .cost_settings import OPTIMIZERS, PRECISIONS
from .cost_view import Comparison, CostView, SwitchEffect
from .devices import Device
from .largest_rows import neighbours
from .wording import count, listed, seconds, share, size

_AT = {"forward": "in the forward pass", "kept": "after the forward pass", "backward": "in the backward pass"}


def fit_sentence(view: CostView) -> str:
    """Whether the step fits, with which batch sizes; "" where no GPU is meant."""
    room = view.room
    if room is None:
        return ""
    rows, off = view.cost.rows, abs(room - view.total_bytes)
    if view.largest is not None:
        largest, is_limit = view.largest
        fitting, next_ = neighbours(largest)
        if not largest:
            return f"Not even one row fits: {size(off)} too much." if rows == 1 else "Not even one row fits."
        limit = f"; {largest} rows at most" if largest != fitting else ""
        if not is_limit:
            return f"Fits with batch {largest} and more."
        if rows > largest:
            return f"Batch {rows} does not fit; {fitting} does{limit}."
        return f"Fits with batch {fitting}, not {next_}{limit}."
    if view.fits is False:
        return f"Does not fit: {size(off)} too much for {_batch(rows)}."
    if view.fits:
        return f"Fits with {_batch(rows)}: {size(off)} are left."
    return "May or may not fit." if view.status == "bound" else ""


def what_if_sentence(view: CostView) -> str:
    """How Run would train, where something else is assumed for the estimate; "" where nothing is, or nothing can run."""
    run, asked = view.of_run, view.settings
    if run is None:
        return ""
    kept = []
    if asked.rows is not None or asked.is_typical:
        kept.append("the batches it was given")
    if asked.accumulation != run.accumulation:
        kept.append(f"{run.accumulation} micro-batch{'' if run.accumulation == 1 else 'es'} a step")
    if asked.precision != run.precision:
        kept.append(f"precision {PRECISIONS[run.precision]}")
    if asked.optimizer != run.optimizer:
        kept.append(OPTIMIZERS[run.optimizer])
    if asked.checkpointing != run.checkpointing:
        kept.append("checkpointing" if run.checkpointing else "no checkpointing")
    return f"This is a what-if: Run itself uses {listed(kept)}." if kept else ""


def time_sentence(view: CostView) -> str:
    """How long a step takes, and what that rests on; "" where nothing honest can be said."""
    flops = view.cost.flops.total * view.settings.accumulation
    if view.status != "ready" or not flops:
        return ""
    work = f"{_flops(flops)} of operations a step"
    gpu = view.settings.gpu
    if gpu is None and view.seconds_per_flop is not None:
        return f"About {seconds(flops * view.seconds_per_flop)} a step, by the speed of the last burst; {work}."
    device = gpu or view.here
    if device is not None and device.bandwidth:
        least = view.cost.time_on(device).seconds
        return f"At least {seconds(least)} a step on {_article(device)}, often twice that; {work}."
    return f"{work[0].upper()}{work[1:]}; the first burst tells how long that takes here."


def disk_sentence(view: CostView) -> str:
    """What would be saved."""
    adapter = f"adapter {size(view.cost.adapter_bytes)}, " if view.cost.adapter_bytes else ""
    return f"On disk: {adapter}checkpoint {size(view.cost.checkpoint_bytes)}."


def moment_words(view: CostView) -> str:
    """When memory is highest."""
    return _AT.get(view.cost.peak.name, "in the optimizer's update") if view.status == "ready" else ""


def switch_sentence(effect: SwitchEffect) -> str:
    """Such as "saves 6.1 GB, costs 28 % of the time"."""
    change = effect.ratio - 1
    words = [f"{'saves' if effect.saved_bytes >= 0 else 'costs'} {size(abs(effect.saved_bytes))}"]
    if abs(change) >= 0.005:
        unit = "of the time" if effect.unit == "time" else "of the operations"
        words.append(f"{'costs' if change > 0 else 'saves'} {share(abs(change), 1)} {unit}")
    return ", ".join(words)


def comparison_rows(found: Comparison) -> list[dict[str, str]]:
    """Estimated beside measured, in words, with the error."""
    rows = []
    if found.measured_bytes is not None:
        told = "–" if found.estimated_bytes is None else size(found.estimated_bytes)
        rows.append(_row("peak memory", told, size(found.measured_bytes), found.estimated_bytes, found.measured_bytes))
    told = "–" if found.estimated_seconds is None else seconds(found.estimated_seconds)
    rows.append(
        _row("time of a step", told, seconds(found.measured_seconds), found.estimated_seconds, found.measured_seconds)
    )
    return rows


def comparison_note(found: Comparison) -> str:
    """What was measured, and what was not."""
    memory = (
        "Memory: torch's count of allocated bytes at its highest."
        if found.measured_bytes is not None
        else "Memory is not compared: torch counts it on a GPU only."
    )
    time = (
        "Time: median of the burst's steps; it sets the speed for the next estimates."
        if found.estimated_seconds is None
        else "Time: median of the burst's steps, foretold by the speed of the burst before."
    )
    return f"{memory} {time}"


def _row(label: str, told: str, measured: str, a: float | None, b: float) -> dict[str, str]:
    error = "" if a is None or not b else f"{(a / b - 1) * 100:+.1f} %".replace("-", "−")
    return {"label": label, "estimated": told, "measured": measured, "error": error}


def _batch(rows: int) -> str:
    return f"batch {rows}"


def _flops(number: float) -> str:
    # A billion operations are a giga-operation.
    words = count(number).replace(" B", " G").replace(" K", " k")
    return f"{words}FLOP" if " " in words else f"{words} FLOP"


def _article(device: Device) -> str:
    return f"{'an' if device.name[0] in 'AHLR' else 'a'} {device.name}"
