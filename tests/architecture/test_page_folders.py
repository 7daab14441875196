"""The page's folders and files import one another in no circle; what is imported as a type alone does not count."""

import os
import re
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORT = re.compile(r'^(?:import|export)\s+(type\s+)?(?:[^"\';]*?from\s+)?"(\.[^"]+)"', re.MULTILINE)


def imports(source: Path) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Folder -> folders and file -> files that are imported by value, as paths below ``source``."""
    folders, files = defaultdict(set), defaultdict(set)
    for path in source.rglob("*.ts"):
        name = str(path.relative_to(source))
        for as_type, target in IMPORT.findall(path.read_text(encoding="utf-8")):
            there = os.path.normpath(path.parent.relative_to(source) / f"{target.removesuffix('.ts')}.ts")
            if as_type or not (source / there).is_file():
                continue
            files[name].add(there)
            here, below = name.rpartition("/")[0], there.rpartition("/")[0]
            if here and below and here != below:
                folders[here].add(below)
    return folders, files


def circle(edges: dict[str, set[str]]) -> list[str]:
    try:
        tuple(TopologicalSorter(edges).static_order())
    except CycleError as error:
        return error.args[1]
    return []


def test_the_pages_folders_and_files_import_one_another_in_no_circle():
    folders, files = imports(ROOT / "js" / "src")
    assert len(folders) > 8
    assert circle(folders) == []
    assert circle(files) == []


@pytest.mark.parametrize("line", ['import { a } from "../a/x";', 'export { a } from "../a/x";', 'import "../a/x";'])
def test_a_circle_is_found(tmp_path, line):
    for folder, text in (("a", 'import { b } from "../b/x";'), ("b", line)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.ts").write_text(text)
    folders, files = imports(tmp_path)
    assert circle(folders)
    assert circle(files)
    (tmp_path / "b" / "x.ts").write_text(line.replace("import {", "import type {").replace("export {", "export type {"))
    if line.startswith("import {"):
        assert not circle(imports(tmp_path)[0])


def test_each_trait_has_one_file_of_the_same_name_on_both_sides():
    python = {p.stem for p in (ROOT / "vlmfreeze_widgets" / "core" / "wire").glob("*.py")} - {"__init__"}
    page = {p.stem for p in (ROOT / "js" / "src" / "wire").glob("*.ts")}
    of_traits = {name for name in python | page if name.endswith("_state")}
    assert of_traits <= python & page, of_traits - (python & page)
    assert {"messages", "presets", "handover"} <= python & page
