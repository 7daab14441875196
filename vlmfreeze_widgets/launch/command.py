"""The command line that starts a recipe on several processes of this machine through ``accelerate launch``. It starts nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


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
