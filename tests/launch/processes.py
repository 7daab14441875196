"""Support: starts launched runs in a session of their own, waits, and leaves no process behind. No tests here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_HOME": str(ROOT / "tests" / "no-such-home"),  # so that nobody's accelerate config has a say
    "ACCELERATE_USE_CPU": "true",
}


@contextmanager
def started(arguments: list[str], log: Path):
    """The process; whatever it started that is still there at the end is killed, each by its number."""
    mark = f"LAUNCH_TEST={uuid.uuid4()}"
    name, value = mark.split("=")
    with log.open("wb") as out:
        child = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT), name: value},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    child.mark = mark.encode()
    try:
        yield child
    finally:
        for pid in _marked(child.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.wait()


def finished(arguments: list[str], log: Path, seconds: float = 100) -> int:
    """Runs to the end; the exit code. Fails when a process outlives it."""
    with started(arguments, log) as child:
        code = child.wait(seconds)
        assert left_of(child) == [], "processes were left behind"
    return code


def left_of(child, seconds: float = 10) -> list[int]:
    """The processes that a child has started, and theirs, that are still there after a while; zombies not counted."""
    until = time.monotonic() + seconds
    while (found := _marked(child.mark)) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def _marked(mark: bytes) -> list[int]:
    # By a variable that children inherit: launchers put their children into groups and sessions of their own.
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it ended meanwhile, or is a zombie, or somebody else's
            if mark in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def status(run: Path) -> dict:
    """What status.json says."""
    return json.loads((run / "status.json").read_text())
