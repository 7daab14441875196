"""Each module or name that a docstring or comment refers to by its place, ``engine.x.y``, exists."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "vlmfreeze_widgets"
PATHS = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in PATHS}
FOLDERS = sorted({name.split(".")[0] for name in MODULES} - {"__init__", "__main__"})
REFERENCE = re.compile(rf"``((?:{'|'.join(FOLDERS)})(?:\.\w+)+)(?:\(\))?``")


def names_in(path: Path) -> set[str]:
    """What a module defines or imports at its top, and attributes of its classes after a dot."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            names |= {
                f"{node.name}.{part.name}" for part in getattr(node, "body", ()) if isinstance(part, ast.FunctionDef)
            }
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names |= {(alias.asname or alias.name) for alias in node.names}
    return names


def is_there(reference: str) -> bool:
    parts = reference.split(".")
    for end in range(len(parts), 0, -1):
        if (module := MODULES.get(".".join(parts[:end]))) is not None:
            return end == len(parts) or ".".join(parts[end:]) in names_in(module)
    return False


def missing(text: str) -> list[str]:
    return [reference for reference in REFERENCE.findall(text) if not is_there(reference)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_reference_to_a_place_of_the_package_resolves(folder):
    paths = [path for path in PATHS if name_of(path).split(".")[0] == folder]
    assert [(name_of(path), gone) for path in paths for gone in missing(path.read_text(encoding="utf-8"))] == []


def test_there_are_many_references():
    assert sum(len(REFERENCE.findall(path.read_text(encoding="utf-8"))) for path in PATHS) > 150


@pytest.mark.parametrize("gone", ["engine.heats", "core.wire.nothing", "engine.burst.burst.Nothing"])
def test_the_control_a_reference_to_nothing_is_found(gone):
    assert missing(f"It is in ``{gone}``.") == [gone]


@pytest.mark.parametrize("there", ["engine.burst", "engine.burst.burst", "engine.burst.burst.Burst.run"])
def test_the_control_what_exists_is_not_refused(there):
    assert missing(f"See ``{there}``.") == []
