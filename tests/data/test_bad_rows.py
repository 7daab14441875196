"""Rows that cannot be used are listed by line and reason, and the rest goes on; sources that cannot be used are refused."""

import json

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vlmfreeze_widgets as vf
from tests.data.files import llava_row, write_json, write_pictures
from tests.data.processors import make_processor
from tests.tiers import examples

GOOD = json.dumps(llava_row("0.png", "What?", "No."))
HUMAN = {"from": "human", "value": "<image>\nWhat?"}


def row(**changes):
    return json.dumps({**json.loads(GOOD), **changes})


BAD = {
    "{": "not JSON",
    "nonsense": "not JSON",
    '{"a": 1} trailing': "not JSON",
    '{"conversations": NaN}': "NaN is not JSON",
    '{"x": -Infinity}': "-Infinity is not JSON",
    GOOD[:-1] + ', "image": "1.png"}': "'image' stands there twice",
    '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}": "deeper than 64",
    '{"x": ' + "[" * 70 + "]" * 70 + "}": "deeper than 64",
    '{"x": ' + "9" * 5000 + "}": "not JSON",
    row(conversations=[{**HUMAN, "value": "\ud800"}]): "surrogate",
    "[]": "not an object",
    "17": "not an object",
    "null": "not an object",
    '"text"': "not an object",
    "{}": "no conversation, question or caption",
    '{"text": "no picture"}': "no conversation, question or caption",
    row(conversations=[]): "an empty list",
    row(conversations=None): "missing",
    row(conversations="x"): "a text",
    row(conversations=[1]): "turn 1 is not an object",
    row(conversations=[HUMAN]): "no assistant turn",
    row(conversations=[HUMAN, {"from": "gpt", "value": " "}]): "empty",
    row(conversations=[HUMAN, {"from": "gpt", "value": None}]): "missing, not text",
    row(conversations=[HUMAN, {"from": "gpt", "value": 3}]): "a number, not text",
    row(conversations=[HUMAN, {"from": "gpt"}]): "missing, not text",
    row(conversations=[HUMAN, {"from": "tool", "value": "x"}]): "the role 'tool'",
    row(conversations=[HUMAN, {"from": ["gpt"], "value": "x"}]): "the role",
    row(conversations=[HUMAN, {"from": "gpt", "value": "<image> see"}], image=["0.png", "1.png"]): "holds a picture",
    row(image=None): "1 <image> in the text, 0 pictures",
    row(image=["0.png", "1.png"]): "1 <image> in the text, 2 pictures",
    row(conversations=[{"from": "human", "value": "What?"}, {"from": "gpt", "value": "No."}]): "0 <image>",
    row(image=7): "a number, not a path",
    row(image={"bytes": "x"}): "not a path",
    row(image="nowhere.png"): "missing",
    row(video="a.mp4"): "video",
    row(messages=3, conversations=None): "missing",
    json.dumps({"messages": [{"role": "user", "content": [{"type": "video", "video": "x"}]}]}): "'video'",
    json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}): "a number, not text",
    json.dumps({"query": "x", "response": "y", "history": 3}): "'history'",
    json.dumps({"query": "x", "response": None}): "missing",
    json.dumps({"image": "0.png", "caption": ["a", "b"], "x": 1, "caption2": 1}).replace('["a", "b"]', "4"): "a number",
}


def load(source, **options):
    return vf.load_batches(source, make_processor("llava"), **options)


@pytest.mark.check("B13")
def test_every_kind_of_bad_row_is_listed_by_line_and_reason_and_the_good_ones_are_used(tmp_path):
    write_pictures(tmp_path, 2)
    lines = [line for bad in BAD for line in (GOOD, bad)]
    batches = load(write_json(tmp_path / "rows.jsonl", lines))
    report = batches.report
    assert report.rows_kept == len(BAD)
    assert [d.place.line for d in report.dropped] == list(range(2, 2 * len(BAD) + 1, 2))
    for dropped, (line, reason) in zip(report.dropped, BAD.items(), strict=True):
        assert reason in dropped.reason, (line[:80], dropped.reason)
        assert len(dropped.reason) < 400
    assert sum(len(b["labels"]) for b in batches) == len(BAD)


def test_the_same_rows_in_one_list_are_told_by_the_line_that_they_begin_in(tmp_path):
    write_pictures(tmp_path, 2)
    whole = [bad for bad in BAD if bad not in {"{", "nonsense", '{"a": 1} trailing'}]
    path = tmp_path / "rows.json"
    path.write_text("[\n" + ",\n".join(line for bad in whole for line in (GOOD, bad)) + "\n]\n")
    report = load(path).report
    assert (report.rows_kept, report.rows_dropped) == (len(whole), len(whole))
    assert [d.place.line for d in report.dropped] == list(range(3, 2 * len(whole) + 2, 2))


@pytest.mark.check("B14")
def test_bytes_that_are_no_utf_8_a_byte_order_mark_and_windows_line_ends(tmp_path):
    write_pictures(tmp_path, 2)
    good = GOOD.encode()
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\r\n" + good.replace(b"What", b"\xff\xfe") + b"\r\n\r\n" + good)
    report = load(path).report
    assert (report.rows_kept, [(d.place.line, d.reason[:9]) for d in report.dropped]) == (2, [(2, "not UTF-8")])
    path = tmp_path / "rows.json"
    path.write_bytes(b"\xef\xbb\xbf [" + good + b"," + good.replace(b"What", b"\xff\xfe") + b"]")
    assert [d.reason[:9] for d in load(path).report.dropped] == ["not UTF-8"]


def test_what_stands_behind_the_end_of_the_list_is_listed_not_passed_over(tmp_path):
    write_pictures(tmp_path, 2)
    path = tmp_path / "rows.json"
    path.write_text(f"[{GOOD}]\n, {GOOD}]")
    assert [d.place.line for d in load(path).report.dropped] == [2]


def test_a_list_that_is_cut_off_gives_what_it_has(tmp_path):
    write_pictures(tmp_path, 2)
    path = tmp_path / "rows.json"
    path.write_text(f"[{GOOD},\n{GOOD},\n{GOOD[:60]}")
    report = load(path).report
    assert (report.rows_kept, [d.place.line for d in report.dropped]) == (2, [3])


@pytest.mark.check("B13")
@pytest.mark.parametrize(
    "content", [b"", b"   \n", b"\xef\xbb\xbf", b"[]", b"[ \n]", b"{}", b"hello", b"\x80\x04K\x01.", b"[null]"]
)
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_a_file_without_one_usable_row_is_refused_in_three_parts(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(vf.VlmFreezeError) as refused:
        load(tmp_path / name)
    assert refused.value.code == "bad-data"
    assert refused.value.expected and refused.value.found and refused.value.remedy


@pytest.mark.parametrize("name", ["rows.pt", "rows.pkl", "rows.bin", "rows.arrow", "rows", "nowhere.json"])
def test_files_of_other_kinds_are_not_even_opened(tmp_path, name):
    if name != "nowhere.json":
        torch.save([1], tmp_path / name)
    with pytest.raises(vf.VlmFreezeError, match="No rows can be read"):
        load(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({}, "Put it into a list"), ({"a": 1}, "Put it into a list"), (3, "Put it into a list"), (None, "Put it into a list"),
        ([], "no rows"), (iter([]), "no rows"), ([None], "not an object"), ([{"labels": 3}], "keys"),
    ],
)  # fmt: skip
def test_sources_that_hold_no_rows_are_refused(source, says):
    with pytest.raises(vf.VlmFreezeError) as refused:
        load(source)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"batch_size": 1.5}, {"limit": 0}, {"max_length": 1}, {"format": "csv"}]
)
def test_settings_that_cannot_be_meant_are_refused(options):
    with pytest.raises(vf.VlmFreezeError) as refused:
        load([json.loads(GOOD)], **options)
    assert refused.value.code == "bad-data"


def test_rows_without_a_processor_and_roots_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(vf.VlmFreezeError, match="processor"):
        vf.load_batches([json.loads(GOOD)])
    with pytest.raises(vf.VlmFreezeError, match="image root"):
        load([json.loads(GOOD)], image_root=tmp_path / "nowhere")


def test_rows_whose_pictures_are_all_missing_are_refused_with_the_way_out(tmp_path):
    """ms-swift's paths begin where it is started, ours where the file lies."""
    with pytest.raises(vf.VlmFreezeError, match="Give image_root") as refused:
        load(write_json(tmp_path / "rows.jsonl", [GOOD, GOOD]))
    assert "2 for picture" in refused.value.remedy and "rows.jsonl, line 1" in refused.value.found


@pytest.mark.check("B13")
def test_fewer_rows_than_a_batch_make_one_batch(tmp_path):
    write_pictures(tmp_path)
    batches = load([json.loads(GOOD)], image_root=tmp_path, batch_size=64)
    assert [len(b["labels"]) for b in batches] == [1] and len(batches) == 1


def test_the_length_is_exact_once_all_rows_were_seen_and_batches_stay_full(tmp_path):
    write_pictures(tmp_path)
    rows = [json.loads(GOOD), {"x": 1}] * 7
    batches = load(rows, image_root=tmp_path, batch_size=3)
    assert [len(b["labels"]) for b in batches] == [3, 3, 1] and len(batches) == 3
    lazy = load(rows, image_root=tmp_path, batch_size=3, check_rows=4)
    assert not lazy.report.complete and len(lazy) >= 3
    assert [len(b["labels"]) for b in lazy] == [3, 3, 1] and len(lazy) == 3
    assert lazy.report.complete and lazy.report.rows_dropped == 7


def test_what_is_read_again_is_the_same_and_counted_once(tmp_path):
    write_pictures(tmp_path)
    rows = [llava_row(f"{i % 4}.png", "What?", "No" + "o" * i) for i in range(9)] + [{"x": 1}]
    batches = load(rows, image_root=tmp_path, batch_size=2, shuffle=True, seed=3)
    first, report = list(batches), batches.report
    again = list(batches)
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert batches.report == report and report.rows_read == 10
    plain = list(load(rows, image_root=tmp_path, batch_size=2))
    assert sorted(b["labels"].ne(-100).sum().item() for b in plain) != [
        b["labels"].ne(-100).sum().item() for b in first
    ]
    other = list(load(rows, image_root=tmp_path, batch_size=2, shuffle=True, seed=4))
    assert [b["labels"].tolist() for b in other] != [b["labels"].tolist() for b in first]


KEYS = [
    "conversations",
    "messages",
    "images",
    "image",
    "role",
    "content",
    "from",
    "value",
    "query",
    "response",
    "type",
    "text",
    "caption",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.check("B14")
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_no_value_whatever_ends_the_reading(value, tmp_path):
    write_pictures(tmp_path, 1)
    batches = load([value, json.loads(GOOD)], image_root=tmp_path)
    assert batches.report.rows_read == 2 and batches.report.rows_kept >= 1


@pytest.mark.check("B14")
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=40), name=st.sampled_from(["rows.json", "rows.jsonl"]))
def test_no_bytes_whatever_end_the_reading(junk, name, tmp_path):
    write_pictures(tmp_path, 1)
    good = GOOD.encode()
    (tmp_path / name).write_bytes(b"[" + good + b"," + junk + b"]" if name == "rows.json" else good + b"\n" + junk)
    assert load(tmp_path / name).report.rows_kept >= 1
