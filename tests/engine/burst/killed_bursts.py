"""Support: forks a child per burst and kills it by SIGKILL at a random moment. A script; no tests here.

    python -m tests.engine.burst.killed_bursts FOLDER KILLS SEED WAY

Each child says by a pipe, after every record that it was given, how many there are. Printed are JSON lines: the folder of each
child's runs, and what it had said. WAY "buffered" is the negative control: lines wait in memory.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava
from vlmfreeze_widgets.engine.burst import recorder
from vlmfreeze_widgets.engine.runs.run_folder import HISTORY, RunFolder

MOST = 16  # records until the kill: into the second burst of a child
LONGEST = 0.06  # seconds after that record, or after the start


class Buffered(RunFolder):
    """A writer as one would write it at first: lines wait until the end."""

    def _append(self, line: bytes) -> None:
        self._kept = getattr(self, "_kept", b"") + line

    def close(self) -> None:
        (self.path / HISTORY).write_bytes(self._kept)


def child(folder: Path, pipe: int, model: object) -> None:
    """Bursts until killed."""
    while True:
        burst = vf.Burst(model, {"projector": "full", "language_model": vf.Lora(rank=2)}, batches(), steps=12, lr=1e-3,
                         run_folder=folder)  # fmt: skip
        for number, _ in enumerate(burst, start=1):
            os.write(pipe, f"{burst.recording.folder.name} {number}\n".encode())


def main(folder: Path, kills: int, seed: int, way: str) -> None:
    """Forks and kills."""
    if way == "buffered":
        recorder.RunFolder = Buffered  # type: ignore[misc]
    model, draw = tiny_llava(), random.Random(seed)
    vf.Burst(model, {"projector": "full", "language_model": vf.Lora(rank=2)}, batches(), steps=1, lr=1e-3).run()  # warm
    for kill in range(kills):
        here = folder / str(kill)
        end, pipe = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                child(here, pipe, model)
            finally:
                os._exit(1)
        os.close(pipe)
        said: dict[str, int] = {}
        with os.fdopen(end) as lines:
            # the machine may be busy: the moment counts in records, not in seconds
            for _ in range(draw.randint(0, MOST)):
                name, number = lines.readline().split()
                said[name] = int(number)
            time.sleep(draw.uniform(0, LONGEST))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            for line in lines:
                name, number = line.split()
                said[name] = int(number)
        print(json.dumps({"folder": str(here), "said": said}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
