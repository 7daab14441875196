"""`make conformance`: our exports, and random settings of theirs, read by LLaMA-Factory, ms-swift and PEFT themselves, in an
environment of their own; then four real steps of each trainer on our exports (`python .ci/conformance.py runs` does these alone).

Runs under the Python found on the machine, with the standard library alone. What is written and how it is compared is in
tests/conformance.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import ROOT, call, say
from real_runs import DRIVERS, real_runs

VENV = ROOT / ".venv-conformance"
PINS = ROOT / "requirements-conformance.txt"
TRAINERS = ("llamafactory==0.9.5", "ms-swift==4.6.0")
CASES = ROOT / "tests" / "conformance"
RESULT = ROOT / "benchmarks" / "results" / "conformance.json"


def install() -> None:
    """Make the environment, unless it already is what the pins say."""
    wanted = hashlib.sha256(PINS.read_bytes() + " ".join(TRAINERS).encode()).hexdigest()
    stamp = VENV / "conformance.stamp"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if not (VENV / "bin" / "python").exists():
        call(sys.executable, "-m", "venv", VENV)
    pip = (VENV / "bin" / "python", "-m", "pip", "install", "--disable-pip-version-check", "--quiet")
    say("installing the trainers (the first time takes minutes: PyTorch is large)")
    call(*pip, "-r", PINS)
    call(*pip, "--no-deps", *TRAINERS)
    stamp.write_text(wanted)


def versions() -> dict[str, str]:
    """What is installed there of what decides."""
    names = ("llamafactory", "ms-swift", "transformers", "peft", "accelerate", "torch")
    code = f"import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    done = subprocess.run([VENV / "bin" / "python", "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main(number: int) -> int:
    """Write the cases, let each trainer read its own, compare: first exports, then settings drawn by chance."""
    install()
    # LLaMA-Factory's version check asks for packages that selecting parameters never uses.
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1"}
    python = str(VENV / "bin" / "python")
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "cases"
        # Names of modules depend on the version of transformers: the plans are made under the trainers' own.
        call(python, "-m", "tests.conformance.write_cases", cases, number)
        imports = Path(folder) / "imports"
        call(python, "-m", "tests.conformance.write_imports", imports, number)
        for run, trainer, written in (
            ("run_llamafactory.py", "llamafactory", (cases, imports)),
            ("run_ms_swift.py", "ms-swift", (cases, imports)),
            ("run_peft.py", "peft", (imports,)),
        ):
            for there in written:
                say(f"{run} on {there.name}")
                # In a folder of its own: trainers leave output folders where they run.
                command = [python, CASES / run, there / trainer]
                done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
        (cases / "versions.json").write_text(json.dumps(versions()))
        status = 0
        for module, there in (("compare", cases), ("compare_imports", imports)):
            compare = [python, "-m", f"tests.conformance.{module}", str(there), str(RESULT)]
            status |= subprocess.run(compare, cwd=ROOT, env=env, check=False).returncode
        call(sys.executable, ROOT / ".ci" / "environment.py", "dev")  # HF Trainer runs on what the tests run on
        return status | real_runs(Path(folder) / "runs")


def runs_only(asked: tuple[str, ...]) -> int:
    """The real runs alone, of these trainers or of all."""
    call(sys.executable, ROOT / ".ci" / "environment.py", "dev")
    install()
    with tempfile.TemporaryDirectory() as folder:
        return real_runs(Path(folder), asked or tuple(DRIVERS))


if __name__ == "__main__":
    if sys.argv[1:2] == ["runs"]:
        sys.exit(runs_only(tuple(sys.argv[2:])))
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
