"""Support: starts launched runs in a session of their own, waits, and leaves no process behind. No tests here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HOME": str(ROOT / "tests" / "no-such-home"),  # so that nobody's accelerate config has a say
    "ACCELERATE_USE_CPU": "true",
}


def accelerated(target: list[str], processes: int) -> list[str]:
    """The accelerate command line for a module or script on several processes."""
    from vlmfreeze_widgets.launch.command import launch_command

    arguments, _ = launch_command("recipe.json", processes, cpu=True)
    at = arguments.index("vlmfreeze_widgets.launch")
    return [*arguments[: at - 1], *target]


@contextmanager
def started(arguments: list[str], log: Path):
    """The process, in a group of its own; whatever is left of the group at the end is killed."""
    with log.open("wb") as out:
        child = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield child
    finally:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()


def finished(arguments: list[str], log: Path, seconds: float = 100) -> int:
    """Runs to the end; the exit code. Fails when a process of the group outlives it."""
    with started(arguments, log) as child:
        code = child.wait(seconds)
        assert left_of(child.pid) == [], "processes were left behind"
    return code


def left_of(group: int, seconds: float = 10) -> list[int]:
    """The processes of a group that are still there after a while, zombies not counted."""
    until = time.monotonic() + seconds
    while (found := _members(group)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def _members(group: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return found


def alone(recipe: Path) -> list[str]:
    """The command line of a run of one process, without accelerate's launcher."""
    return [sys.executable, "-m", "vlmfreeze_widgets.launch", str(recipe), "--cpu"]


def status(run: Path) -> dict:
    """What status.json says."""
    return json.loads((run / "status.json").read_text())
