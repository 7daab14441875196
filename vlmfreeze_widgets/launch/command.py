"""The command line that starts a recipe on several processes of this machine through ``accelerate launch``, and running it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import torch

from ..engine.runs.run_folder import ask_to_stop


def launch_command(
    recipe: str | Path, processes: int = 1, cpu: bool = False, fsdp: bool = False
) -> tuple[list[str], Mapping[str, str]]:
    """Arguments and environment variables of a launch.

    Args:
        recipe: The file.
        processes: How many, one per GPU.
        cpu: Use no GPU.
        fsdp: Split weights, gradients and optimizer over the processes.

    Returns:
        The arguments; what the environment must hold besides the present one.
    """
    # Of accelerate's launchers only the one it calls multi_gpu gives each process a rank; --cpu would start a single one.
    # Port 0: any that is free.
    several = ["--multi_gpu", "--main_process_port", "0"] if processes > 1 else []
    arguments = [
        sys.executable, "-m", "accelerate.commands.launch",
        "--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
        *several, "-m", "vlmfreeze_widgets.launch", str(recipe),
    ]  # fmt: skip
    arguments += (["--cpu"] if cpu else []) + (["--fsdp"] if fsdp else [])
    return arguments, {"ACCELERATE_USE_CPU": "true"} if cpu else {}


def launch(recipe: str | Path, output: str | Path, processes: int = 1, cpu: bool = False, fsdp: bool = False) -> int:
    """Runs a recipe on several processes and waits; what they print goes through.

    The first Ctrl-C asks the run to stop after its step and to save, however long that takes (torchrun itself would kill it
    after 30 seconds); at the second that is what it does.

    Args:
        recipe: The file.
        output: Its run folder.
        processes: How many, one per GPU.
        cpu: Use no GPU.
        fsdp: Split weights, gradients and optimizer over the processes.

    Returns:
        The exit code of accelerate.
    """
    if not cpu and not torch.cuda.is_available():
        # Without this each process would train by itself, and all of them write into one folder.
        print("No GPU: the processes share the CPU.", flush=True)
        cpu = True
    arguments, more = launch_command(recipe, processes, cpu, fsdp)
    # A session of its own: Ctrl-C in the terminal reaches only this process.
    child = subprocess.Popen(arguments, env={**os.environ, **more}, start_new_session=True)
    ends = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if name in signal.Signals.__members__]
    before = {number: signal.signal(number, lambda *_: child.terminate()) for number in ends}
    try:
        return _waited(child, Path(output))
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)


def _waited(child: subprocess.Popen[bytes], output: Path) -> int:
    try:
        return child.wait()
    except KeyboardInterrupt:
        if output.is_dir():
            ask_to_stop(output)
            print("Stopping after this step; Ctrl-C again ends it within half a minute.", flush=True)
            return child.wait()
        raise
