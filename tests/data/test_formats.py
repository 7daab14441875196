"""Each format that trainers read is read as they read it: the same conversation, the same pictures, the same labels."""

import io
import json

import pytest
import torch
from PIL import Image

import vlmfreeze_widgets as vf
from tests.data.files import learned, llava_row, write_json, write_pictures
from tests.data.processors import make_processor
from vlmfreeze_widgets.data.formats import FORMATS, read_raw
from vlmfreeze_widgets.data.rows import BadRow, Place

ASKED, ANSWERED = "How many red squares?", "Three."
CHAT = [{"role": "user", "content": f"<image>{ASKED}"}, {"role": "assistant", "content": ANSWERED}]
PARTS = [
    {"role": "user", "content": [{"type": "image", "image": "images/0.png"}, {"type": "text", "text": ASKED}]},
    {"role": "assistant", "content": [{"type": "text", "text": ANSWERED}]},
]
LINKED = [
    {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "images/0.png"}}, {"type": "text", "text": ASKED}],
    },
    {"role": "assistant", "content": ANSWERED},
]
PICTURE = "images/0.png"
SAME = {
    "LLaVA": llava_row(PICTURE, ASKED, ANSWERED),
    "LLaVA, picture last": {
        "image": PICTURE,
        "conversations": [{"from": "human", "value": f"<image>\n{ASKED}"}, {"from": "gpt", "value": ANSWERED}],
    },
    "sharegpt with a list": {**llava_row(None, f"<image>\n{ASKED}", ANSWERED), "images": [PICTURE]},
    "LLaMA-Factory's mllm_demo": {"messages": CHAT, "images": [PICTURE]},
    "LLaMA-Factory's tags": {"conversations": CHAT, "images": [PICTURE]},
    "ms-swift, one picture": {"messages": CHAT, "image": PICTURE},
    "ms-swift, a mapping": {"messages": CHAT, "images": [{"path": PICTURE, "bytes": None}]},
    "ms-swift, query": {"query": f"<image>{ASKED}", "response": ANSWERED, "images": [PICTURE]},
    "ms-swift, no marker": {"query": ASKED, "response": ANSWERED, "images": [PICTURE]},
    "alpaca": {"instruction": ASKED, "input": "", "output": ANSWERED, "image": PICTURE},
    "VQA": {"image": PICTURE, "question": ASKED, "answer": ANSWERED},
    "chat with parts": {"messages": PARTS},
    "chat with parts and a list": {
        "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ASKED}]}, CHAT[1]],
        "images": [PICTURE],
    },
    "chat with links": {"messages": LINKED},
    "caption": {"image": PICTURE, "caption": ANSWERED},
    "imagefolder": {"file_name": PICTURE, "text": ANSWERED},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    top = tmp_path_factory.mktemp("data")
    write_pictures(top / "images")
    return top


@pytest.fixture(scope="module")
def wanted(folder):
    (batch,) = vf.load_batches([SAME["LLaVA"]], make_processor("qwen2_vl"), image_root=folder, batch_size=1)
    return batch


def same(one, other):
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
@pytest.mark.parametrize("kind", SAME)
def test_the_same_row_in_every_format_gives_the_same_tensors(kind, name, folder, wanted):
    path = write_json(folder / name, [SAME[kind]])
    (batch,) = vf.load_batches(path, make_processor("qwen2_vl"), batch_size=1, caption_prompt=ASKED)
    assert same(batch, wanted)
    (again,) = vf.load_batches(
        [SAME[kind]], make_processor("qwen2_vl"), image_root=folder, batch_size=1, caption_prompt=ASKED
    )
    assert same(again, wanted)


@pytest.mark.parametrize("form", ["sharegpt", "llamafactory", "ms-swift", "messages", "auto"])
def test_a_format_can_be_named(form, folder, wanted):
    rows = [{"messages": CHAT, "images": [PICTURE]}]
    (batch,) = vf.load_batches(rows, make_processor("qwen2_vl"), image_root=folder, batch_size=1, format=form)
    assert same(batch, wanted)


def test_a_row_of_another_format_than_the_one_named_is_left_out():
    with pytest.raises(BadRow, match="no llava in the row"):
        read_raw(Place("x", 1, 0), {"messages": CHAT, "images": ["a"]}, "llava")
    assert "auto" not in FORMATS


def test_pictures_without_a_marker_go_first_for_ms_swift_and_are_refused_elsewhere():
    raw = {"messages": [{"role": "user", "content": ASKED}, CHAT[1]], "images": ["a", "b"]}
    row = read_raw(Place("x", 1, 0), raw, "ms-swift")
    assert row.messages[0].parts == (0, 1, ASKED)
    with pytest.raises(BadRow, match="0 <image> in the text, 2 pictures"):
        read_raw(Place("x", 1, 0), raw)


def test_a_history_comes_before_the_question_and_all_its_answers_are_learned(folder):
    raw = {
        "query": "And?",
        "response": "Two.",
        "history": [["<image>One?", "Yes."], ["Sure?", "Quite."]],
        "images": [PICTURE],
    }
    processor = make_processor("qwen2_vl")
    (batch,) = vf.load_batches([raw], processor, image_root=folder)
    assert learned(processor, batch) == [[f"{a}<|im_end|>" for a in ("Yes.", "Quite.", "Two.")]]


def test_markers_keep_their_places_among_the_text():
    raw = {**llava_row(None, "a <image>\nb\n<image> c", "x"), "image": ["0.png", "1.png"]}
    assert read_raw(Place("x", 1, 0), raw).messages[0].parts == ("a ", 0, "b", 1, " c")


class HubData:
    """Looks like a ``datasets.Dataset``: columns, a length, rows that are decoded when they are asked for."""

    def __init__(self, rows):
        self._rows = rows
        self.column_names = list(rows[0])
        self.asked = []

    def __len__(self):
        return len(self._rows)

    def __getitem__(self, index):
        self.asked.append(index)
        row = self._rows[index]
        if isinstance(row.get("image"), Exception):
            raise row["image"]
        return row


def test_a_data_set_with_decoded_pictures_is_read_row_by_row(folder, wanted):
    picture = Image.open(folder / PICTURE)
    file = io.BytesIO()
    picture.save(file, "PNG")
    turns = llava_row("x", ASKED, ANSWERED)["conversations"]
    data = HubData(
        [
            {"image": picture, "conversations": turns},
            {"image": {"bytes": file.getvalue(), "path": None}, "conversations": turns},
            {"image": OSError("truncated"), "conversations": turns},
            {"image": None, "conversations": turns},
            {"image": file.getvalue(), "conversations": turns},
        ]
    )
    batches = vf.load_batches(data, make_processor("qwen2_vl"), batch_size=1)
    assert [same(batch, wanted) for batch in batches] == [True, True, True]
    assert [str(d.place) for d in batches.report.dropped] == ["dataset, row 2", "dataset, row 3"]
    assert "truncated" in batches.report.dropped[0].reason


def test_a_large_data_set_is_not_decoded_before_it_is_reached(folder):
    data = HubData([{"image": Image.open(folder / PICTURE), "caption": "red"}] * 5_000)
    batches = vf.load_batches(data, make_processor("qwen2_vl"), check_rows=10)
    assert len(batches) == 2_500 and len(data.asked) < 40


def test_all_splits_at_once_are_refused_with_the_name_of_one():
    splits = {"train": HubData([{"a": 1}]), "test": HubData([{"a": 1}])}
    with pytest.raises(vf.VlmFreezeError, match=r'data\["train"\]'):
        vf.load_batches(splits, make_processor("qwen2_vl"))


@pytest.mark.parametrize("kind", ["texts", "metadata", "captions", "caption list", "zero_nlp", "one file"])
def test_folders_of_pictures_with_captions_are_read(kind, tmp_path, folder, wanted):
    captioned = {"0.png": ANSWERED}
    chats = [llava_row("0.png", ASKED, ANSWERED)]
    pictures = tmp_path / "images_dl" if kind == "zero_nlp" else tmp_path
    pictures.mkdir(exist_ok=True)
    (pictures / "0.png").write_bytes((folder / PICTURE).read_bytes())
    if kind == "texts":
        (tmp_path / "0.txt").write_text(ANSWERED + "\n")
    elif kind == "metadata":
        write_json(tmp_path / "metadata.jsonl", [{"file_name": k, "text": v} for k, v in captioned.items()])
    elif kind == "captions":
        write_json(tmp_path / "captions.json", captioned)
    elif kind == "caption list":
        write_json(tmp_path / "captions.json", [{"image": k, "caption": v} for k, v in captioned.items()])
    else:
        write_json(tmp_path / ("chat.json" if kind == "zero_nlp" else "rows.jsonl"), chats)
    (batch,) = vf.load_batches(tmp_path, make_processor("qwen2_vl"), batch_size=1, caption_prompt=ASKED)
    assert same(batch, wanted)


def test_a_picture_without_its_caption_is_left_out_and_a_folder_without_any_refused(tmp_path):
    write_pictures(tmp_path, 2)
    with pytest.raises(vf.VlmFreezeError, match="2 pictures and no captions"):
        vf.load_batches(tmp_path, make_processor("qwen2_vl"))
    (tmp_path / "1.txt").write_text("green")
    batches = vf.load_batches(tmp_path, make_processor("qwen2_vl"))
    assert [(d.place.source, "missing" in d.reason) for d in batches.report.dropped] == [("0.png", True)]


def ready():
    labels = torch.tensor([[-100, 4, 2]])
    return {"input_ids": torch.tensor([[3, 4, 2]]), "labels": labels, "pixel_values": torch.zeros(1, 3, 4, 4)}


class Again:
    def __iter__(self):
        return iter([ready(), ready()])


@pytest.mark.parametrize("source", [[ready(), ready()], (ready(), ready()), Again(), "generator"])
def test_ready_batches_pass_through_as_often_as_they_are_read(source):
    batches = vf.load_batches((ready() for _ in range(2)) if source == "generator" else source)
    assert [list(b) for b in batches] == [list(ready())] * 2
    assert len(batches) == len(list(batches)) == 2
    report = batches.report
    assert [(b.rows, b.tokens, b.label_tokens, b.pictures) for b in report.batches] == [(1, 3, 2, 1)] * 2
    assert batches.preview(1)[0].learned == "4 2 "


def test_the_very_same_tensors_come_out():
    one = ready()
    assert next(iter(vf.load_batches([one]))) is one


BAD_BATCHES = {
    "no whole-number tensor": {"input_ids": torch.ones(1, 3, dtype=torch.long)},
    "every label is -100": {**ready(), "labels": torch.full((1, 3), -100)},
    "NaN": {**ready(), "pixel_values": torch.full((1, 3, 4, 4), torch.nan)},
    "labels of shape": {**ready(), "labels": torch.ones(2, 3, dtype=torch.long)},
    "not a dict": [1, 2],
    "under 'labels'": {**ready(), "labels": torch.ones(1, 3)},
}


@pytest.mark.parametrize("reason", BAD_BATCHES)
def test_a_ready_batch_that_cannot_be_trained_on_is_listed(reason):
    batches = vf.load_batches([ready(), BAD_BATCHES[reason], ready()])
    assert len(list(batches)) == len(batches) == 2
    (dropped,) = batches.report.dropped
    assert reason in dropped.reason and dropped.place.row == 1
    if not isinstance(BAD_BATCHES[reason], list):
        with pytest.raises(vf.VlmFreezeError, match="Not one batch"):
            vf.load_batches([BAD_BATCHES[reason]])


def test_a_source_without_an_end_is_refused_unless_it_has_a_limit():
    def endless():
        while True:
            yield {"query": "a", "response": "b"}

    with pytest.raises(vf.VlmFreezeError, match="limit"):
        vf.load_batches(endless(), make_processor("llava"))
    assert len(vf.load_batches(endless(), make_processor("llava"), limit=3, batch_size=1)) == 3


def test_a_limit_holds_for_rows_and_for_batches(folder):
    rows = [SAME["LLaVA"]] * 9
    assert len(list(vf.load_batches(rows, make_processor("qwen2_vl"), image_root=folder, limit=5))) == 3
    assert len(list(vf.load_batches([ready()] * 9, limit=5))) == 5
    path = write_json(folder / "many.jsonl", [json.dumps(r) for r in rows])
    limited = vf.load_batches(path, make_processor("qwen2_vl"), limit=5, shuffle=True)
    assert (len(limited), limited.report.rows_read) == (3, 5)


def test_batches_of_a_file_know_it_and_the_folder_of_its_pictures(folder, monkeypatch):
    path = write_json(folder / "known.json", [llava_row(PICTURE, ASKED, ANSWERED)])
    monkeypatch.chdir(folder)
    found = vf.load_batches("known.json", make_processor("llava"), format="llava").origin
    assert found.settings() == {"data": str(path.resolve()), "image_root": str(folder.resolve()), "format": "llava"}
    in_memory = vf.load_batches([llava_row(PICTURE, ASKED, ANSWERED)], make_processor("llava"), image_root=folder)
    assert in_memory.origin is None
