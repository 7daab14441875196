"""The core path that `make versions` runs elsewhere passes here, and each of its checks can fail."""

from pathlib import Path

import pytest
import torch

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
