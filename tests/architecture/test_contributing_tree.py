"""The tree in CONTRIBUTING.md is the tree on the disk: no folder is missing there, none is left over."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SUBFOLDERS = ("core", "engine")


def shown(text):
    """(folders of the package, {folder: its sub-folders}) as the indented tree has them."""
    lines = text.split("    vlmfreeze_widgets/\n", 1)[1].split("    js/ ", 1)[0].splitlines()
    folders, inside, last = set(), {}, ""
    for line in lines:
        found = re.findall(r"(?:^|  )([a-z_]+)/", line)
        if line.startswith(" " * 6) and not line.startswith(" " * 8):
            folders |= set(found)
            last = found[0] if found else ""
        elif last:
            inside.setdefault(last, set()).update(found)
    return folders, inside


def on_disk(folder):
    return {p.name for p in folder.iterdir() if p.is_dir() and p.name[0] not in "._"}


def test_every_folder_of_the_package_is_in_the_tree_and_the_other_way_round():
    folders, inside = shown((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert folders == on_disk(ROOT / "vlmfreeze_widgets")
    for name in SUBFOLDERS:
        assert inside[name] == on_disk(ROOT / "vlmfreeze_widgets" / name)


@pytest.mark.parametrize("gone", ["launch/", "strategy/"])
def test_the_control_a_folder_that_is_not_shown_is_noticed(gone):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace(f"{gone} ", "", 1)
    folders, inside = shown(text)
    assert "launch" not in folders or "strategy" not in inside["core"]
