"""Support: a process that imports torch, transformers, PEFT and accelerate once and forks one more for each run: of a launched
recipe, or of an exported script. No tests here.

What costs in a launched run of a tiny model is what each of its processes imports: 7 s of CPU, where the training takes one. The
runs are processes of their own all the same, with signals, exit codes and a group for their sums. What ``accelerate launch`` does
around them is tested with real launches.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from select import select

from tests.launch.processes import ENVIRONMENT, ROOT

LAUNCH = "vlmfreeze_widgets.launch.__main__"
IMPORTED = (
    LAUNCH, "vlmfreeze_widgets.launch.run", "vlmfreeze_widgets.adapters.peft_lora", "vlmfreeze_widgets.adapters.peft_files",
    "accelerate", "peft", "torch.distributed.fsdp", "torch.distributed.tensor", "transformers.trainer",
    "transformers.models.llava.modeling_llava", "transformers.models.clip.modeling_clip",
    "transformers.models.llama.modeling_llama",
)  # fmt: skip


class Fork:
    """One process that was asked for.

    Args:
        pid: Its number.
        forks: Where to ask for its end.
    """

    def __init__(self, pid: int, forks: Forks) -> None:
        self.pid, self._forks = pid, forks

    def wait(self, seconds: float = 60) -> int:
        """Its exit code, once it has ended; minus the number of the signal that ended it."""
        return self._forks.ask({"wait": self.pid}, seconds)

    def kill(self) -> None:
        """Ends it, whatever it does."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Forks:
    """The process that forks. Close it at the end; what it started ends with it."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.launch.forks"],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._started: list[Fork] = []

    def start(self, arguments: list[str], log: Path, module: str = LAUNCH, **variables: str) -> Fork:
        """Begins a process that runs ``main(arguments)`` of a module and ends with what that returns."""
        return self._begin({"module": module, "arguments": arguments, "log": str(log), "variables": variables})

    def script(self, path: Path, arguments: list[str], log: Path, **variables: str) -> Fork:
        """Begins a process that does what ``python path arguments`` does, in the script's folder."""
        return self._begin({"script": str(path), "arguments": arguments, "log": str(log), "variables": variables})

    def _begin(self, asked: dict[str, object]) -> Fork:
        self._started.append(Fork(self.ask(asked, 150), self))  # the first one waits for the imports
        return self._started[-1]

    def group(self, count: int, arguments: list[str], log: Path, module: str = LAUNCH) -> list[Fork]:
        """Begins several that form a group, as ``accelerate launch`` would."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        together = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        return [
            self.start(arguments, log, module, RANK=str(rank), LOCAL_RANK=str(rank), **together)
            for rank in range(count)
        ]

    def ask(self, what: dict[str, object], seconds: float) -> int:
        """The number that answers."""
        self._server.stdin.write(json.dumps(what).encode() + b"\n")
        self._server.stdin.flush()
        if not select([self._server.stdout], [], [], seconds)[0]:
            raise TimeoutError(f"no answer within {seconds} s to {what}")
        return int(self._server.stdout.readline())

    def close(self) -> None:
        """Ends what is still there."""
        for fork in self._started:
            fork.kill()
        self._server.kill()
        self._server.wait()
        self._server.stdin.close()
        self._server.stdout.close()


def _serve() -> None:
    for name in IMPORTED:
        import_module(name)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        print(_ended(asked["wait"]) if "wait" in asked else os.fork() or _be(asked), flush=True)


def _ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _be(asked: dict) -> int:
    """The forked process; never returns."""
    code = 70
    try:
        os.setsid()
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, number)
        os.environ.update(asked["variables"])
        if "script" in asked:
            folder, name = os.path.split(asked["script"])
            os.chdir(folder)
            sys.argv, sys.path[0] = [name, *asked["arguments"]], folder
            runpy.run_path(name, run_name="__main__")
            code = 0
        else:
            code = import_module(asked["module"]).main(asked["arguments"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
