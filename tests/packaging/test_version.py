"""The version is written in one place."""

import json
import re
from pathlib import Path

import vlmfreeze_widgets

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_written_in_the_package_alone():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^dynamic = \["version"\]$', project, re.MULTILINE)
    assert re.search(r'\[tool\.hatch\.version\]\npath = "vlmfreeze_widgets/__init__\.py"', project)
    for name in ("package.json", "package-lock.json"):
        assert "version" not in json.loads((ROOT / "js" / name).read_text(encoding="utf-8"))


def test_the_changelog_has_that_version_on_top():
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changes, re.MULTILINE)[1] == vlmfreeze_widgets.__version__
