"""The core path that `make versions` runs elsewhere passes here, and each of its checks can fail."""

import json
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.version import Version

import vlmfreeze_widgets as vf
from tests.versions import core_path

RESULT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "versions.json"


@pytest.mark.parametrize("name", ["demo", "plan", "export", "resume", "rows"])
def test_a_check_passes_here(name):
    core_path.CHECKS[name]()


def test_a_demo_with_other_weights_is_noticed(monkeypatch):
    demo = vf.demo()
    torch.nn.init.normal_(demo.model.model.vision_tower.get_parameter("embeddings.patch_embedding.weight"))
    monkeypatch.setattr(core_path.vf, "demo", lambda: demo, raising=False)
    with pytest.raises(core_path.Failed, match="first loss"):
        core_path.check_demo()


def test_logits_that_differ_are_noticed():
    with pytest.raises(core_path.Failed, match="merged: logits differ by 1"):
        core_path.same(torch.zeros(2), torch.ones(2), "merged")


def test_what_goes_wrong_is_reported_and_the_others_still_run(monkeypatch):
    def broken():
        raise ModuleNotFoundError("No module named 'transformers.models.clip'")

    monkeypatch.setattr(core_path, "CHECKS", {"one": broken, "two": lambda: 2})
    (_, _, said), (_, measured, nothing) = core_path.outcomes()
    assert said.startswith("ModuleNotFoundError")
    assert (measured, nothing) == (2, None)


def rows_of(readme):
    table = readme.partition("| transformers | peft | torch |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_tells_the_table_that_was_measured(name):
    told = rows_of((RESULT.parents[2] / name).read_text(encoding="utf-8"))
    cells = json.loads(RESULT.read_text(encoding="utf-8")).values()
    measured = []
    for cell in cells:
        passed = sum(check["ok"] for check in cell["checks"].values())
        releases = [cell["versions"][package].partition("+")[0] for package in ("transformers", "peft", "torch")]
        measured.append([*releases, f"{passed} / {len(cell['checks'])}"])
    assert [row[-4:] for row in told] == measured


def test_the_oldest_and_the_newest_supported_releases_are_those_that_were_run():
    cells = json.loads(RESULT.read_text(encoding="utf-8"))
    root = RESULT.parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (root / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
    lock = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    for package in ("transformers", "peft", "torch"):
        floor = next(text for text in project["dependencies"] if text.startswith(f"{package}>=")).partition(">=")[2]
        oldest, newest = (cells[name]["versions"][package].partition("+")[0] for name in ("oldest", "newest"))
        assert oldest == (floor if floor.count(".") > 1 else f"{floor}.0")
        assert Version(newest) >= Version(lock[package])
    assert all(check["ok"] for cell in cells.values() for check in cell["checks"].values())
