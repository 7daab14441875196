"""`make conformance`: our exports, read by LLaMA-Factory and ms-swift themselves, in an environment of their own.

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
    """Write the cases, let each trainer read its own, compare."""
    install()
    # LLaMA-Factory's version check asks for packages that selecting parameters never uses.
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "DISABLE_VERSION_CHECK": "1", "OMP_NUM_THREADS": "1"}
    python = str(VENV / "bin" / "python")
    with tempfile.TemporaryDirectory() as folder:
        cases = Path(folder) / "cases"
        # Names of modules depend on the version of transformers: the plans are made under the trainers' own.
        call(python, "-m", "tests.conformance.write_cases", cases, number)
        for run in (("run_llamafactory.py", "llamafactory"), ("run_ms_swift.py", "ms-swift")):
            say(run[0])
            # In a folder of its own: trainers leave output folders where they run.
            done = subprocess.run(
                [python, CASES / run[0], cases / run[1]],
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                sys.exit(done.stdout[-2000:] + done.stderr[-4000:])
        (cases / "versions.json").write_text(json.dumps(versions()))
        compare = [python, "-m", "tests.conformance.compare", str(cases), str(RESULT)]
        return subprocess.run(compare, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
