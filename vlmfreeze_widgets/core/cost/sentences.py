"""A cost in sentences for the page: does it fit, how long is a step, what do switches do. Numbers come from
``core.cost.estimate``.
"""

from __future__ import annotations

from ..language.format import count, listed, seconds, share, size
from ..language.phrase import joined, say, say_count
from .assumptions import OPTIMIZERS, PRECISIONS
from .largest_batch import neighbours
from .view import Comparison, CostView, SwitchEffect

_AT = {
    "forward": say("in the forward pass"),
    "kept": say("after the forward pass"),
    "backward": say("in the backward pass"),
}


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
            one = say("Not even one row fits: {size} too much.", size=size(off))
            return one if rows == 1 else say("Not even one row fits.")
        limit = say("; {n} rows at most", n=largest) if largest != fitting else ""
        if not is_limit:
            return say("Fits with batch {n} and more.", n=largest)
        if rows > largest:
            return say("Batch {rows} does not fit; {n} does{limit}.", rows=rows, n=fitting, limit=limit)
        return say("Fits with batch {n}, not {next}{limit}.", n=fitting, next=next_, limit=limit)
    if view.fits is False:
        return say("Does not fit: {size} too much for batch {n}.", size=size(off), n=rows)
    if view.fits:
        return say("Fits with batch {n}: {size} are left.", n=rows, size=size(off))
    return say("May or may not fit.") if view.status == "bound" else ""


def what_if_sentence(view: CostView) -> str:
    """How Run would train, where something else is assumed for the estimate; "" where nothing is, or nothing can run."""
    run, settings = view.of_run, view.settings
    if run is None:
        return ""
    kept: list[str] = []
    if settings.rows is not None or settings.is_typical:
        kept.append(say("the batches it was given"))
    if settings.accumulation != run.accumulation:
        kept.append(say_count(run.accumulation, "{n} micro-batch a step", "{n} micro-batches a step"))
    if settings.precision != run.precision:
        kept.append(say("precision {name}", name=PRECISIONS[run.precision]))
    if settings.optimizer != run.optimizer:
        kept.append(OPTIMIZERS[run.optimizer])
    if settings.checkpointing != run.checkpointing:
        kept.append(say("checkpointing") if run.checkpointing else say("no checkpointing"))
    return say("This is a what-if: Run itself uses {settings}.", settings=listed(kept)) if kept else ""


def time_sentence(view: CostView) -> str:
    """How long a step takes, and what that rests on; "" where nothing is known."""
    flops = view.cost.flops.total * view.settings.accumulation
    if view.status != "ready" or not flops:
        return ""
    work = {"flops": _flops(flops)}
    gpu = view.settings.gpu
    if gpu is None and view.seconds_per_flop is not None:
        return say(
            "About {time} a step, by the speed of the last burst; {flops} of operations a step.",
            time=seconds(flops * view.seconds_per_flop), **work,
        )  # fmt: skip
    device = gpu or view.here
    if device is not None and device.bandwidth:
        least = view.cost.time_on(device).seconds
        an = device.name[0] in "AHLR"
        found = {"time": seconds(least), "device": device.name, **work}
        if an:
            return say(
                "At least {time} a step on an {device}, often twice that; {flops} of operations a step.", **found
            )
        return say("At least {time} a step on a {device}, often twice that; {flops} of operations a step.", **found)
    return say("{flops} of operations a step; the first burst tells how long that takes here.", **work)


def disk_sentence(view: CostView) -> str:
    """What would be saved."""
    cost = view.cost
    whole = size(cost.checkpoint_bytes)
    if not cost.adapter_bytes:
        return say("On disk: checkpoint {size}.", size=whole)
    return say("On disk: adapter {adapter}, checkpoint {size}.", adapter=size(cost.adapter_bytes), size=whole)


def moment_words(view: CostView) -> str:
    """When memory is highest."""
    return _AT.get(view.cost.peak.name, say("in the optimizer's update")) if view.status == "ready" else ""


def switch_sentence(effect: SwitchEffect) -> str:
    """Such as "saves 6.1 GB, costs 28 % of the time"."""
    change = effect.ratio - 1
    memory = size(abs(effect.saved_bytes))
    words = [say("saves {amount}", amount=memory) if effect.saved_bytes >= 0 else say("costs {amount}", amount=memory)]
    if abs(change) >= 0.005:
        part = share(abs(change), 1)
        unit = (
            say("{share} of the time", share=part)
            if effect.unit == "time"
            else say("{share} of the operations", share=part)
        )
        words.append(say("costs {amount}", amount=unit) if change > 0 else say("saves {amount}", amount=unit))
    return joined(words, ", ")


def comparison_rows(found: Comparison) -> list[dict[str, str]]:
    """Estimated beside measured, in words, with the error."""
    rows = []
    if found.measured_bytes is not None:
        estimated = "–" if found.estimated_bytes is None else size(found.estimated_bytes)
        rows.append(
            _row(say("peak memory"), estimated, size(found.measured_bytes), found.estimated_bytes, found.measured_bytes)
        )
    estimated = "–" if found.estimated_seconds is None else seconds(found.estimated_seconds)
    rows.append(
        _row(
            say("time of a step"),
            estimated,
            seconds(found.measured_seconds),
            found.estimated_seconds,
            found.measured_seconds,
        )
    )
    return rows


def comparison_note(found: Comparison) -> str:
    """What was measured, and what was not."""
    memory = (
        say("Memory: torch's count of allocated bytes at its highest.")
        if found.measured_bytes is not None
        else say("Memory is not compared: torch counts it on a GPU only.")
    )
    time = (
        say("Time: median of the burst's steps; it sets the speed for the next estimates.")
        if found.estimated_seconds is None
        else say("Time: median of the burst's steps, estimated from the speed of the burst before.")
    )
    return joined([memory, time], " ")


def _row(label: str, estimated: str, measured: str, a: float | None, b: float) -> dict[str, str]:
    error = "" if a is None or not b else f"{(a / b - 1) * 100:+.1f} %".replace("-", "−")
    return {"label": label, "estimated": estimated, "measured": measured, "error": error}


def _flops(number: float) -> str:
    # A billion operations are a giga-operation.
    words = count(number).replace(" B", " G").replace(" K", " k")
    return f"{words}FLOP" if " " in words else f"{words} FLOP"
