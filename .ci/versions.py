"""`make versions` and `make newest`: the core path on the oldest and newest supported releases, and on the newest that pip finds.

Each cell of the table has an environment of its own below .venv-versions; what is checked is tests/versions/core_path.py, and what
came out is kept in benchmarks/results/versions.json, which the README quotes. Runs under the Python found on the machine, with the
standard library alone.
"""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from environment import ROOT, call, say

ENVIRONMENTS = ROOT / ".venv-versions"
SCRIPT = ROOT / "tests" / "versions" / "core_path.py"
RESULT = ROOT / "benchmarks" / "results" / "versions.json"
NEWEST = "newest that pip finds"
# Supported beyond what the lock pins and `make test` runs on.
BEYOND_THE_LOCK: dict[str, str] = {}


def floors() -> dict[str, str]:
    """The oldest supported release of each library, as pyproject.toml declares it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pairs = [text.split(">=") for text in project["dependencies"] if ">=" in text and "," not in text]
    return {name: release for name, release in pairs if name in {"torch", "transformers", "peft"}}


def newest_supported() -> dict[str, str]:
    """The newest supported release of each library: the one that `make test` runs on, or one beyond it."""
    lines = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name: BEYOND_THE_LOCK.get(name, pins[name]) for name in ("torch", "transformers", "peft")}


def cells() -> dict[str, dict[str, str]]:
    """Name of each environment -> the releases in it: all oldest, all newest, and each library alone at its oldest."""
    oldest, newest = floors(), newest_supported()
    alone = {f"oldest {name}": {**newest, name: oldest[name]} for name in oldest if oldest[name] != newest[name]}
    return {"oldest": oldest, "newest": newest, **alone}


def python_of(name: str) -> Path:
    """The interpreter of a cell's environment."""
    return ENVIRONMENTS / name.replace(" ", "-") / "bin" / "python"


def exact(release: str) -> str:
    """The first release of a series, such as 2.10.0 of 2.10; a release that is exact stays."""
    return release if release.count(".") > 1 else f"{release}.0"


def install(name: str, releases: dict[str, str]) -> None:
    """Make the environment of a cell; without releases, everything in it becomes as new as pip finds."""
    python = python_of(name)
    if not python.exists():
        call(sys.executable, "-m", "venv", python.parent.parent)
    pins = [f"{package}=={exact(release)}" for package, release in releases.items()]
    say(f"{name}: installing {', '.join(pins) or 'the newest releases'} (PyTorch is large)")
    upgrade = () if releases else ("--upgrade", "--upgrade-strategy", "eager")
    call(python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *upgrade, *pins, "-e", ROOT)


def run(name: str) -> dict[str, Any]:
    """What the core path says in a cell's environment."""
    say(f"{name}: the core path")
    env = {
        "PATH": str(python_of(name).parent),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([python_of(name), SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        sys.exit(f"versions: {name}: the core path printed no result\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return found


def show(name: str, found: dict[str, Any]) -> bool:
    """One row of the table, and every check that failed; whether all passed."""
    releases = "  ".join(f"{package} {found['versions'][package]}" for package in ("transformers", "peft", "torch"))
    passed = [check for check, outcome in found["checks"].items() if outcome["ok"]]
    print(f"{name:24}{releases:64}{len(passed)} of {len(found['checks'])}", flush=True)
    for check, outcome in found["checks"].items():
        if not outcome["ok"]:
            print(f"  {check}: {outcome['error']}", flush=True)
    return len(passed) == len(found["checks"])


def keep(results: dict[str, dict[str, Any]]) -> None:
    """Write the outcomes beside those of the cells that were not run."""
    before = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    order = [*cells(), NEWEST]
    every = {**before, **results}
    kept = {name: every[name] for name in order if name in every}
    RESULT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main(wanted: list[str]) -> int:
    """Run the cells that are named, by default all of them; ``newest-found`` is an environment without pins, made anew."""
    table = cells()
    if wanted == ["newest-found"]:
        shutil.rmtree(python_of(NEWEST).parent.parent, ignore_errors=True)
        table, wanted = {NEWEST: {}}, [NEWEST]
    results, passed = {}, True
    for name in wanted or list(table):
        if name not in table:
            sys.exit(f"versions: there is no cell {name!r}; there are {', '.join(table)}")
        install(name, table[name])
        results[name] = run(name)
    for name, found in results.items():
        passed &= show(name, found)
    keep(results)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
