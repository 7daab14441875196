"""``python -m vlmfreeze_widgets.launch recipe.json``: one process of a launched run; accelerate or torchrun starts several.

Exit codes: 0 finished or stopped, 1 failed (status.json has the three parts), 2 a wrong command line.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from ..core.errors import VlmFreezeError
from ..core.history.history import StepRecord
from ..core.shorten import shorten
from ..engine.runs.run_folder import RunFolder
from .recipe import Recipe

_PATIENCE_SECONDS = 5.0


def main(arguments: list[str] | None = None) -> int:
    """Runs a recipe as one of the processes that were started for it."""
    parser = argparse.ArgumentParser(prog="python -m vlmfreeze_widgets.launch", description=__doc__)
    parser.add_argument("recipe", type=Path, help="as vf.write_recipe wrote it")
    parser.add_argument("--cpu", action="store_true", help="use no accelerator")
    parser.add_argument("--fsdp", action="store_true", help="split weights, gradients and optimizer over the processes")
    options = parser.parse_args(arguments)
    sharded = options.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    folder: RunFolder | None = None
    try:
        recipe = Recipe.load(options.recipe)
        folder = RunFolder(recipe.output, recipe.settings.steps, int(os.environ.get("WORLD_SIZE", "1")))
        is_main = int(os.environ.get("RANK", "0")) == 0
        if is_main:
            # Before anything heavy, so that a follower sees it at once; a folder that is taken is left alone.
            _open(folder)
        return _run(recipe, folder, options.cpu, sharded)
    except _Taken as error:
        _complain(error.cause, quiet=False)
    except BaseException as error:  # whatever it is, the page must hear of it
        parts, first = _parts(error), True
        if folder is not None:
            try:
                first = folder.fail(parts)
            except VlmFreezeError as second:
                _complain(second.to_dict(), quiet=True)
        if first:
            _complain(parts, quiet=isinstance(error, VlmFreezeError))
    # Past Python's and NCCL's clean-up, which would wait for the processes that go on.
    sys.stdout.flush()
    sys.stderr.flush()
    if "RANK" in os.environ:
        os._exit(1)
    return 1


class _Taken(Exception):  # noqa: N818
    def __init__(self, cause: dict[str, str]) -> None:
        self.cause = cause


def _open(folder: RunFolder) -> None:
    try:
        folder.open()
    except VlmFreezeError as error:
        raise _Taken(error.to_dict()) from error


def _run(recipe: Recipe, folder: RunFolder, cpu: bool, sharded: bool) -> int:
    from ..adapters.accelerate_processes import Processes
    from .run import Run

    stop = threading.Event()
    processes = Processes(cpu, sharded)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopper(stop))
    processes.wait()
    run = Run(recipe, processes, folder, stop.is_set, _teller(recipe.settings.steps))
    phase = run.go()
    if processes.is_main:
        print(f"{phase} after {len(run.history)} steps: {folder.path}", flush=True)
    processes.end()
    return 1 if phase == "failed" else 0


def _stopper(stop: threading.Event) -> Callable[[int, object], None]:
    asked_at = time.monotonic()

    def handle(number: int, _frame: object) -> None:
        nonlocal asked_at
        # A terminal and torchrun both pass one Ctrl-C on; whoever asks again later has no more patience.
        if stop.is_set() and time.monotonic() - asked_at > _PATIENCE_SECONDS:
            raise KeyboardInterrupt(signal.Signals(number).name)
        if not stop.is_set():
            asked_at = time.monotonic()
        stop.set()

    return handle


def _teller(steps: int) -> Callable[[StepRecord], None]:
    last = 0.0

    def tell(record: StepRecord) -> None:
        nonlocal last
        if record.step < steps and time.monotonic() - last < 1.0:
            return
        last = time.monotonic()
        print(f"step {record.step}/{steps}  loss {record.loss:.4g}  grad {record.grad_norm:.3g}", flush=True)

    return tell


def _parts(error: BaseException) -> dict[str, str]:
    from ..engine.failures import lost_device, out_of_memory

    trace = "".join(traceback.format_exception(error))
    if lost_device.is_lost(error):
        import torch

        lost_device.mark_lost(error, torch.device("cuda"))
        error = lost_device.error_of(torch.device("cuda"), None)
    elif out_of_memory.is_out_of_memory(error):
        import torch

        error = out_of_memory.out_of_memory_error(
            error, 0, torch.device("cuda" if torch.cuda.is_available() else "cpu")
        )
    if isinstance(error, VlmFreezeError):
        return {**error.to_dict(), "traceback": trace}
    return {
        "code": "error",
        "message": shorten(f"{type(error).__name__}: {error}", 400),
        "expected": "a run to its end",
        "found": type(error).__name__,
        "remedy": "Look at the traceback; a short vf.Burst on the same strategy and batches is quicker to mend.",
        "traceback": trace,
    }


def _complain(parts: dict[str, str], quiet: bool) -> None:
    lines = [
        parts["message"],
        f"  expected  {parts['expected']}",
        f"  found     {parts['found']}",
        f"  remedy    {parts['remedy']}",
    ]
    if not quiet and "traceback" in parts:
        lines.insert(0, parts["traceback"])
    print("\n".join(lines), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
