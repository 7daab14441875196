"""What an export names on this machine is named in full: the files are read in another folder than they were written from."""

from __future__ import annotations

import json

import pytest
import yaml

import vlmfreeze_widgets as vf
from tests.tiny import tiny_llava
from vlmfreeze_widgets.core.errors import VlmFreezeError
from vlmfreeze_widgets.trainers.registry import TRAINERS

LORA = vf.Lora(rank=4, alpha=8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    tiny_llava().save_pretrained(tmp_path / "model")
    (tmp_path / "train.json").write_text("[]")
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_relative_model_folder_is_named_in_full_by_every_trainer(here):
    tree = vf.read_tree("model")
    named = 0
    for to in TRAINERS:
        for rules in ({"language_model": LORA}, {"projector": "full"}):
            try:
                done = vf.export(vf.Strategy(rules, 1e-4), tree, to)
            except VlmFreezeError:
                continue
            text = next(iter(done.files.values()))
            assert str(here / "model") in text, to
            named += 1
            break
    assert named >= 8


def test_a_hub_id_or_a_title_stays_what_it_is(here):
    (here / "llava").mkdir()  # a folder of that name, and no model in it
    tree = vf.read_tree(tiny_llava(), title="llava")
    done = vf.export(vf.Strategy({"projector": "full"}, 1e-4), tree, "llamafactory")
    assert yaml.safe_load(next(iter(done.files.values())))["model_name_or_path"] == "llava"


def test_data_and_pictures_are_named_in_full_and_what_is_not_there_is_left(here):
    plan = vf.resolve(vf.Strategy({"projector": "full"}, 1e-4), vf.read_tree("model"))
    run = json.loads(vf.export(plan, to="trainer", data="train.json", image_root="images").files["plan.json"])["run"]
    assert run == {"data": str(here / "train.json"), "image_root": str(here / "images")}
    more = {"dataset": ["train.json", "AI-ModelScope/LaTeX_OCR"], "output_dir": "runs/1"}
    found = yaml.safe_load(vf.export(plan, to="ms-swift", **more).files["ms_swift.yaml"])
    assert found["dataset"] == [str(here / "train.json"), "AI-ModelScope/LaTeX_OCR"]
    assert found["output_dir"] == "runs/1"


def test_a_rate_for_a_part_that_does_not_train_is_warned_of():
    tree = vf.read_tree(tiny_llava())
    plan = vf.resolve(vf.Strategy({"projector": "full"}, {"language_model": 1e-4}), tree)
    (warning,) = [w for w in plan.warnings if w.code == "unused-rate"]
    assert "language_model" in warning.message
    assert "projector" in warning.remedy
    for lr in ({"": 1e-4}, {"projector": 1e-3}, {"model.multi_modal_projector.linear_1": 1e-3}):
        assert not [
            w for w in vf.resolve(vf.Strategy({"projector": "full"}, lr), tree).warnings if w.code == "unused-rate"
        ]
    adapted = vf.resolve(vf.Strategy({"language_model": LORA}, {"language_model[-1:]": 1e-4}), tree)
    assert not [w for w in adapted.warnings if w.code == "unused-rate"]
