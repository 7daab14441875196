"""The data in use goes along: LLaMA-Factory's dataset_info.json, ms-swift's dataset, columns and folder of pictures."""

from __future__ import annotations

import json

import pytest
import yaml

import vlmfreeze_widgets as vf
from tests.trainers import published_cases as published
from vlmfreeze_widgets.core.data_origin import DataOrigin
from vlmfreeze_widgets.core.errors import BadConfig
from vlmfreeze_widgets.trainers.previews import preview_export
from vlmfreeze_widgets.trainers.registry import TRAINERS

LLAVA = [
    {"image": "0.png", "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A."}]}
]
CHAT = [
    {
        "images": ["0.png"],
        "messages": [{"role": "user", "content": "<image>What?"}, {"role": "assistant", "content": "A."}],
    }
]
PAIR = [{"instruction": "<image>What?", "output": "A.", "images": ["0.png"]}]
PARTS = [{"messages": [{"role": "user", "content": [{"type": "image"}]}]}]


def exported(to, rows, folder, lines=False):
    path = folder / ("train.jsonl" if lines else "train.json")
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1))
    wanted = vf.Strategy({"projector": "full"}, 1e-3)
    return path, vf.export(wanted, published.tree("llava"), to, data=str(path), image_root=str(folder))


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize(
    ("rows", "columns", "tags"),
    [
        (LLAVA, {"messages": "conversations", "images": "image"}, ("from", "value", "human", "gpt")),
        (CHAT, {"messages": "messages", "images": "images"}, ("role", "content", "user", "assistant")),
        (PAIR, {"prompt": "instruction", "response": "output", "images": "images"}, None),
    ],
)
def test_llamafactory_is_told_of_the_file_its_columns_and_roles(rows, columns, tags, lines, tmp_path):
    path, done = exported("llamafactory", rows, tmp_path, lines)
    (entry,) = json.loads(done.files["dataset_info.json"]).values()
    assert entry["file_name"] == str(path)
    assert entry["columns"] == columns
    if tags:
        assert tuple(entry["tags"][name] for name in ("role_tag", "content_tag", "user_tag", "assistant_tag")) == tags
    said = yaml.safe_load(done.files["llamafactory.yaml"])
    assert {said["dataset"]} == set(json.loads(done.files["dataset_info.json"]))
    assert said["dataset_dir"] == "."
    assert said["media_dir"] == str(tmp_path)
    assert "data" not in said


@pytest.mark.parametrize(
    ("rows", "columns"), [(LLAVA, None), (CHAT, None), (PAIR, {"instruction": "query", "output": "response"})]
)
def test_ms_swift_is_told_of_the_file_and_the_folder_of_its_pictures(rows, columns, tmp_path):
    path, done = exported("ms-swift", rows, tmp_path)
    said = yaml.safe_load(done.files["ms_swift.yaml"])
    assert said["dataset"] == [str(path)]
    assert said["ENV"] == {"ROOT_IMAGE_DIR": str(tmp_path)}
    assert (json.loads(said["columns"]) if columns else said.get("columns")) == columns


@pytest.mark.parametrize("rows", [PARTS, [{"text": "a"}], ["a"], []])
def test_rows_that_llamafactory_does_not_read_are_refused(rows, tmp_path):
    with pytest.raises(BadConfig, match="cannot be described"):
        exported("llamafactory", rows, tmp_path)


def test_without_data_nothing_is_added():
    done = vf.export(vf.Strategy({"projector": "full"}, 1e-3), published.tree("llava"), "llamafactory", dataset="mine")
    assert set(done.files) == {"llamafactory.yaml"}
    assert yaml.safe_load(done.files["llamafactory.yaml"])["dataset"] == "mine"


@pytest.mark.parametrize("to", ["llava", "llava-next", "qwen-vl-series-finetune"])
def test_the_scripts_of_llava_and_its_kin_get_the_file_and_the_folder_as_arguments(to, tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(LLAVA))
    tree = published.tree("qwen2_vl" if to.startswith("qwen") else "llava")
    plan = vf.resolve(vf.Strategy({"projector": "full"}, 1e-3), tree)
    (said,) = vf.export(plan, to=to, data=str(path), image_root=str(tmp_path)).files.values()
    assert f"--data_path={path}" in said
    assert f"--image_folder={tmp_path}" in said
    assert "--data=" not in said
    path.write_text(json.dumps(CHAT))
    with pytest.raises(BadConfig, match="cannot be described"):
        vf.export(plan, to=to, data=str(path))


@pytest.mark.parametrize(
    "to", ["llamafactory", "ms-swift", "llava", "trainer", "trl", "peft", "axolotl", "qwen-vl-finetune"]
)
def test_a_look_tells_a_trainer_of_the_data_or_says_that_it_does_not(to, tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(LLAVA))
    tree = published.tree("qwen2_vl" if to.startswith("qwen") else "llava")
    plan = vf.resolve(vf.Strategy({"language_model": vf.Lora()} if to == "peft" else {"projector": "full"}, 1e-3), tree)
    look = preview_export(plan, to, data=DataOrigin(str(path), str(tmp_path)))
    told = [name for name, text in look.files.items() if str(path) in text]
    said = [note for note in look.notes if "is not told of the data" in "".join(word.text for word in note)]
    assert (bool(told), len(said)) == ((True, 0) if TRAINERS[to].takes_data else (False, 1))
    assert not any(str(path) in text for text in preview_export(plan, to).files.values())  # control


def test_rows_that_a_trainer_does_not_read_are_a_note_and_the_files_come_all_the_same(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(PARTS))
    plan = vf.resolve(vf.Strategy({"projector": "full"}, 1e-3), published.tree("llava"))
    look = preview_export(plan, "llamafactory", data=DataOrigin(str(path)))
    assert set(look.files) == {"llamafactory.yaml"}
    assert "does not read such rows" in "".join(word.text for word in look.notes[0])
