"""A running burst as files and back, bit for bit: weights, optimizer, random streams, place in the data, history.

safetensors and JSON only; nothing that was pickled is ever opened. How a folder is written whole is in
``engine.runs.atomic_folder``. Long because what is written is read beside it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ...core.errors import BadState
from ...core.history.history import History
from ...core.shorten import shorten
from ..batches.micro_batches import MicroBatches
from ..batches.position import Position
from ..runs.atomic_folder import Writer, read_manifest, write_folder
from ..tensors.random_streams import State
from .state_list import KIND, next_order, prune, saved_states
from .training_run import TrainingRun

_VERSION = 1
_TENSOR = "$tensor"
_KEPT = 2  # saved states of one burst; the one before the last is there should the disk spoil the last


@dataclass(frozen=True)
class SavedBurst:
    """What a folder holds.

    Attributes:
        folder: Where it was read.
        number: The last step that was begun.
        history: Up to it.
        data: The rest as plain data.
        tensors: MasterWeights, optimizer, generators.
        keeps_rates: Whether its learning rates go on too; else those of the new run do, as far down its schedule.
    """

    folder: Path
    number: int
    history: History
    data: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]
    keeps_rates: bool = True


def writer(
    folder: Path, burst_id: str, run: TrainingRun, batches: MicroBatches, history: History, spent: float, *, copy: bool
) -> Callable[[], Path]:
    """What writes the state of a burst between two steps.

    Args:
        folder: Of all states of this burst, and of others.
        burst_id: Ties the states of one burst together. A resumed burst has one of its own: two that are resumed from one state
            must not remove each other's.
        run: Between two steps.
        batches: Where it reads from.
        history: So far.
        spent: Seconds so far.
        copy: Whether to hold a copy of all tensors, so that steps can be taken before it was called.

    Returns:
        A function that writes, and gives the folder of this state, ``step-000012``; it raises CannotSave where the disk is
        full, say. States that were saved before are intact then.
    """
    data, tensors = captured(burst_id, run, batches, history, spent)
    if copy:
        tensors = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
    step, records, state = len(history), history.to_json(), json.dumps(data, allow_nan=False)

    def write() -> Path:
        from ...adapters import safetensors_files

        files: dict[str, Writer] = {
            "tensors.safetensors": lambda path: safetensors_files.save(path, tensors),
            "history.json": lambda path: path.write_bytes(records.encode()),
            "state.json": lambda path: path.write_bytes(state.encode()),
        }
        about = {"kind": KIND, "burst": burst_id, "step": step, "order": next_order(folder)}
        written = write_folder(folder, f"step-{step:06d}", files, about)
        prune(folder, burst_id, _KEPT, written)
        return written

    return write


def captured(
    burst_id: str, run: TrainingRun, batches: MicroBatches, history: History, spent: float
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The state of a burst between two steps: plain data, and the live tensors, not copied. Arguments as of ``writer``."""
    tensors: dict[str, torch.Tensor] = {f"weights.{i}": t for i, t in enumerate(run.masters.tensors)}
    optimizer = run.optimizer.state_dict()
    plain = {str(i): _part(entries, f"optimizer.{i}", tensors) for i, entries in optimizer["state"].items()}
    data: dict[str, Any] = {
        "version": _VERSION,
        "burst": burst_id,
        "number": len(history),
        "taken": run.taken,
        "spent": spent,
        "names": list(run.layout.names),
        "identity": identity(run),
        "optimizer": plain,
        "rates": [{k: g[k] for k in ("lr", "initial_lr") if k in g} for g in optimizer["param_groups"]],
        "scaler": None if run.scaler is None else run.scaler.state_dict(),
        "with_gradient": run.witness.with_gradient,
        "updates": None if run.meter is None else run.meter.counts(),
        "position": asdict(batches.position),
        "skipped": batches.skipped,
        "random": {},
    }
    streams = {"model": run.stream.state}
    if batches.stream is not None:
        streams["data"] = batches.stream.state
    if batches.pass_began is not None:
        streams["pass"] = batches.pass_began
    for name, state in streams.items():
        data["random"][name] = _plain_state(state, name, tensors)
    return data, tensors


def copied(run: TrainingRun, batches: MicroBatches, history: History) -> SavedBurst:
    """The same in memory, for a burst that goes on from here beside the first: copies of everything.

    Args:
        run: Between two steps, with its weights on the model.
        batches: Where it reads from.
        history: So far.
    """
    data, tensors = captured("", run, batches, history, 0.0)
    kept = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
    return SavedBurst(Path(), len(history), History.from_json(history.to_json()), data, kept, keeps_rates=False)


def load(folder: str | Path) -> SavedBurst:
    """Reads one state, or the newest good one of a folder of states.

    Raises:
        BadState: There is none, or it is torn.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").is_file():
        states = saved_states(folder)
        if not states:
            raise BadState(
                "There is no saved burst here.",
                expected="a folder that burst.save_state(folder) wrote to",
                found=shorten(f"{str(folder)!r}", 160),
                remedy="Give the folder that was given to save_state.",
            )
        folder = states[-1]
    read_manifest(folder)
    data = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    if data.get("version") != _VERSION:
        raise BadState(
            "This burst was saved by another release.",
            expected=f"version {_VERSION}",
            found=str(data.get("version"))[:40],
            remedy="Continue it with the release that saved it.",
        )
    history = History.from_json((folder / "history.json").read_text(encoding="utf-8"))
    from ...adapters import safetensors_files

    tensors = safetensors_files.load(folder / "tensors.safetensors")
    return SavedBurst(folder, int(data["number"]), history, data, tensors)


def restore(saved: SavedBurst, run: TrainingRun, batches: MicroBatches) -> list[str]:
    """Puts a saved state into a run that has just begun.

    Returns:
        What the user must know, such as another batch size.

    Raises:
        BadState: The model or the strategy is another.
    """
    data, tensors = saved.data, saved.tensors
    _check_same(data["names"] == list(run.layout.names), "the tensors that train are others")
    _check_same(data["identity"] == identity(run), "its weights are others, or it was changed since")
    with torch.no_grad():
        for i, tensor in enumerate(run.masters.tensors):
            tensor.copy_(tensors[f"weights.{i}"])
    run.masters.give_values()
    state = run.optimizer.state_dict()
    fresh = [group["lr"] for group in state["param_groups"]] if run.schedule is None else run.schedule.base_lrs
    state["state"] = {int(i): _join(plain, tensors) for i, plain in data["optimizer"].items()}
    for group, rates in zip(state["param_groups"], data["rates"], strict=True):
        group.update(rates)
    if not saved.keeps_rates:
        for group, start in zip(state["param_groups"], fresh, strict=True):
            before = group.get("initial_lr", group["lr"])
            # A rate of 0 says nothing of how far down the schedule is: the next step takes it from there.
            group["lr"] = start * (group["lr"] / before if before and "initial_lr" in group else 1.0)
            group.update({"initial_lr": start} if "initial_lr" in group else {})
    run.optimizer.load_state_dict(state)
    run.taken = int(data["taken"])
    if run.schedule is not None:
        run.schedule.load_state_dict(
            {
                **run.schedule.state_dict(), "last_epoch": run.taken, "_step_count": run.taken + 1,
                "_last_lr": [g["lr"] for g in run.optimizer.param_groups],
            }
        )  # fmt: skip
    if run.scaler is not None and data["scaler"]:
        run.scaler.load_state_dict(data["scaler"])
    run.witness.resume(data["with_gradient"], run.taken, saved.history.last)
    if run.meter is not None and data["updates"]:
        run.meter.add(data["updates"])
    streams = {name: _state(plain, name, tensors) for name, plain in data["random"].items()}
    run.stream.state = streams["model"]
    note = batches.go_to(Position(**data["position"]), streams.get("pass"), int(data["skipped"]))
    if note is None and batches.stream is not None and "data" in streams:
        batches.stream.state = streams["data"]
    return [note] if note else []


def identity(run: TrainingRun) -> str:
    """A hash of the model as it was before the burst: names and values of its base weights."""
    text = json.dumps(sorted(run.witness.start_digests().items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_same(same: bool, found: str) -> None:
    if not same:
        raise BadState(
            "This burst was saved of another model.",
            expected="the model as it was when the burst began",
            found=f"one of which {found}",
            remedy="Load the same weights in the same dtype, and discard what was kept on them since.",
        )


def _part(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:  # of an optimizer's state
    """Plain data in which each tensor is named instead, and lies in ``tensors``. bitsandbytes nests dictionaries."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        return {str(key): _part(inner, f"{name}.{key}", tensors) for key, inner in value.items()}
    return value


def _join(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:  # what ``_part`` made
    if isinstance(value, Mapping):
        if set(value) == {_TENSOR}:
            return tensors[value[_TENSOR]]
        return {key: _join(inner, tensors) for key, inner in value.items()}
    return value


def _plain_state(state: State, name: str, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """A stream's state as JSON; its tensors go to ``tensors``."""
    plain: dict[str, Any] = {}
    for generator, value in state.items():
        if isinstance(value, torch.Tensor):
            tensors[f"random.{name}.{generator}"] = value
        elif generator == "numpy":
            plain[generator] = [value[0], value[1].tolist(), *value[2:]]
        else:
            plain[generator] = [value[0], list(value[1]), value[2]]
    return plain


def _state(plain: Mapping[str, Any], name: str, tensors: Mapping[str, torch.Tensor]) -> State:
    state: State = {generator: (value[0], tuple(value[1]), *value[2:]) for generator, value in plain.items()}
    prefix = f"random.{name}."
    state |= {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    return state


MAY_CHANGE: tuple[str, ...] = (
    "steps", "seconds", "accumulation", "max_grad_norm", "checkpointing", "eval_every", "verdict_after",
    "on_out_of_memory",
)  # fmt: skip
"""Settings that a resumed burst may have otherwise than the saved one."""
