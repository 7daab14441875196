"""The real runs of `make conformance`: what our exports train in HF Trainer, TRL, LLaMA-Factory and ms-swift, step by step.

Each trainer takes all its cases in one process, under the Python that it is installed in. How cases are written and compared is in
tests/conformance.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from environment import ROOT, VENV, call, say

CASES = ROOT / "tests" / "conformance"
RESULT = ROOT / "benchmarks" / "results" / "conformance_runs.json"
OF_TRAINERS = ROOT / ".venv-conformance"
LAYERED = ROOT / ".venv-trl"
"""TRL over the environment of the tests, whose transformers is newer than the other trainers take."""
TRL = "trl==1.16.0"
DRIVERS = {
    "trainer": (VENV, "drive_script.py", ("transformers", "peft", "accelerate", "torch")),
    "trl": (LAYERED, "drive_script.py", ("trl", "transformers", "peft", "torch")),
    "trl-sft": (LAYERED, "drive_trl_sft.py", ("trl", "transformers", "peft", "torch")),
    "llamafactory": (OF_TRAINERS, "drive_llamafactory.py", ("llamafactory", "transformers", "peft", "torch")),
    "ms-swift": (OF_TRAINERS, "drive_ms_swift.py", ("ms-swift", "transformers", "peft", "torch")),
}
"""Trainer -> its environment, what drives it, and the packages whose versions are told."""


def install_trl() -> None:
    """Make the layered environment, unless it is there for this Python and this TRL."""
    of_the_tests = next((VENV / "lib").glob("python*")).name
    stamp, wanted = LAYERED / "trl.stamp", f"{TRL} {of_the_tests}"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    call(VENV / "bin" / "python", "-m", "venv", "--clear", LAYERED)
    packages = Path("lib") / of_the_tests / "site-packages"
    (LAYERED / packages / "layer.pth").write_text(f"{VENV / packages}\n")
    say(f"installing {TRL}")
    call(LAYERED / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet", TRL)
    stamp.write_text(wanted)


def real_runs(folder: Path, asked: tuple[str, ...] = tuple(DRIVERS)) -> int:
    """Write, drive, compare; the exit status.

    Args:
        folder: Empty; a folder per trainer is made in it.
        asked: The trainers to run.
    """
    # LLaMA-Factory's version check asks for packages that training never uses here.
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1"}
    env |= {"TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": ""}
    if {"trl", "trl-sft"} & set(asked):
        install_trl()
    for trainer in asked:
        home, driver, names = DRIVERS[trainer]
        python, there = str(home / "bin" / "python"), folder / trainer
        there.mkdir(parents=True)
        say(f"{driver} on real runs of {trainer}")
        # Names of modules depend on the version of transformers: the burst runs under the trainer's own.
        steps: list[tuple[list[object], Path, Mapping[str, str]]] = [
            ([python, "-m", "tests.conformance.write_runs", there, trainer], ROOT, env),
            ([python, CASES / driver, there], there, env),
        ]
        for command, where, environment in steps:
            done = subprocess.run(
                [str(part) for part in command], cwd=where, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
        (there / "versions.json").write_text(json.dumps(versions(python, names)))
    python = str(OF_TRAINERS / "bin" / "python")
    compare = [python, "-m", "tests.conformance.compare_runs", str(RESULT), *(str(folder / name) for name in asked)]
    return subprocess.run(compare, cwd=ROOT, env=env, check=False).returncode


def versions(python: str, names: tuple[str, ...]) -> dict[str, str]:
    """What is installed under a Python of what decides."""
    code = f"import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found
