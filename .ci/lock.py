"""Writes requirements-dev.lock: the exact versions, in this environment, of all that `vlmfreeze_widgets[dev]` needs.

It follows the requirements from pyproject.toml, so what somebody installed by hand beside them does not get in.
Local version labels (the +cpu of a PyTorch build) and the places that packages came from are left out.
"""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.lock"
HEAD = """\
# Exact versions of everything that vlmfreeze_widgets[dev] needs; written by `make lock`, on Linux with Python {python}.
# To install: pip install -r requirements-dev.lock && pip install --no-deps -e .
# Tested with the CPU build of torch, which fits every machine; which build pip takes is pip's configuration.
"""


def asked_for() -> list[Requirement]:
    """The requirements of the package and of its extras, without the package itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    every = [Requirement(text) for part in lists for text in part]
    return [r for r in every if canonicalize_name(r.name) != canonicalize_name(project["name"])]


def closure(roots: list[Requirement]) -> dict[str, str]:
    """name -> version of the requirements and of all that they require here, extras included."""
    pins: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(root.name, extra) for root in roots for extra in {"", *root.extras}]
    while todo:
        name, extra = todo.pop()
        key = (canonicalize_name(name), extra)
        if key in seen:
            continue
        seen.add(key)
        found = distribution(name)
        pins[key[0]] = Version(found.version).public
        for text in found.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                todo += [(needed.name, inner) for inner in {"", *needed.extras}]
    return pins


def main() -> None:
    """Bring this environment up to pyproject.toml, then write the lock."""
    roots = asked_for()
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *map(str, roots)], check=True)
    try:
        pins = closure(roots)
    except PackageNotFoundError as error:
        sys.exit(f"lock: {error} is required and not installed here. Run make clean, then make test.")
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items())]
    LOCK.write_text(HEAD.format(python=".".join(map(str, sys.version_info[:2]))) + "".join(lines), encoding="utf-8")
    print(f"lock: {len(lines)} packages in {LOCK.name}")


if __name__ == "__main__":
    main()
