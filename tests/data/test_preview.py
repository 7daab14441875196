"""What a person sees of loaded data: prompt, learned tokens, small pictures, a report; markup in data stays text."""

import dataclasses
import json
import re

import pytest

import vlmfreeze_widgets as vf
from tests.data.files import llava_row, write_json, write_pictures
from tests.data.processors import PROCESSORS, make_processor

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'"


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path)
    return tmp_path


@pytest.mark.parametrize("family", PROCESSORS)
def test_a_preview_shows_what_is_read_and_what_is_learned(family, folder):
    rows = [llava_row("0.png", "How many?", "Three."), {"x": 1}, llava_row("1.png", "And?", "Two.")]
    batches = vf.load_batches(rows, make_processor(family), image_root=folder)
    first, second = batches.preview(5)
    assert first.learned.strip().startswith("Three.") and second.learned.strip().startswith("Two.")
    assert "How many?" in first.prompt and "How many?" not in first.learned
    assert [p.size for p in first.pictures] == [(16, 16)] and (second.place.row, second.pictures[0].size) == (
        2,
        (20, 24),
    )
    runs = [span for span in first.spans if re.search(r"×\d+$", span.text)]
    assert len(runs) == (0 if family == "mllama" else 1) and not any(span.supervised for span in runs)
    text, learned = first.spans[0]
    assert isinstance(text, str) and learned is False
    assert "[" in str(first) and str(first.place) in str(first)


def test_the_tokens_of_a_preview_are_the_text_that_was_tokenized(folder):
    demo = vf.demo()
    rows = [{"image": "0.png", "caption": "a red circle in the top left"}]
    (row,) = vf.load_batches(rows, demo.processor, image_root=folder, caption_prompt="describe :").preview()
    assert row.learned == " a red circle in the top left</s>"
    assert "".join(s.text for s in row.spans) == "<s> <image>×16 describe : a red circle in the top left</s>"
    processor = make_processor("qwen2_vl", bytes_level=True)
    (row,) = vf.load_batches(
        [llava_row("0.png", "Wie viele?", "Drei größere 中.")], processor, image_root=folder
    ).preview()
    assert row.learned == "Drei größere 中.<|im_end|>"


def test_previews_and_reports_are_frozen_values(folder):
    batches = vf.load_batches([llava_row("0.png", "How?", "So.")], make_processor("llava"), image_root=folder)
    for value in (batches.preview(1)[0], batches.preview(1)[0].spans[0], batches.report, batches.report.batches[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.place = 1


def test_pictures_of_a_preview_are_small(tmp_path):
    from PIL import Image

    Image.new("RGB", (2000, 1000)).save(tmp_path / "0.png")
    batches = vf.load_batches([llava_row("0.png", "How?", "So.")], make_processor("llava"), image_root=tmp_path)
    assert batches.preview()[0].pictures[0].size == (96, 48)


def test_the_report_counts_what_the_batches_hold(folder):
    rows = [
        llava_row(["0.png", "1.png"], "How?", "So."),
        llava_row(None, "How?", "So."),
        llava_row("2.png", "How?", "So."),
    ]
    batches = vf.load_batches(rows, make_processor("qwen2_vl"), image_root=folder, batch_size=2)
    made = list(batches)
    for counts, batch in zip(batches.report.batches, made, strict=True):
        assert counts.rows == len(batch["labels"])
        assert counts.tokens == batch["attention_mask"].sum()
        assert counts.label_tokens == (batch["labels"] != -100).sum()
        assert counts.pictures == len(batch.get("image_grid_thw", []))
    assert "3 rows read: 3 used, 0 left out" in repr(batches)
    assert "3 pictures" in str(batches.report)


@pytest.mark.check("X1")
def test_markup_in_rows_names_and_reasons_is_shown_as_text(folder):
    rows = [
        llava_row("0.png", EVIL, EVIL),
        llava_row(EVIL, "x", "y"),
        {EVIL: 1},
        llava_row("0.png", "x", "y") | {"video": EVIL},
    ]
    rows.append({"conversations": [{"from": EVIL, "value": EVIL}]})
    source = write_json(folder / "rows.jsonl", [json.dumps(r) for r in rows])
    batches = vf.load_batches(source, make_processor("qwen2_vl", bytes_level=True))
    assert batches.report.rows_dropped == 4
    for shown in (batches._repr_html_(), batches.report._repr_html_(), batches.preview(1)[0]._repr_html_()):
        assert set(re.findall(r"<\s*/?\s*(\w+)", shown)) <= {"p", "b", "ul", "li", "pre", "mark"}
        assert "alert" in shown


@pytest.mark.control("X1")
def test_tags_that_are_not_escaped_are_caught_by_the_same_search():
    """The control."""
    assert not set(re.findall(r"<\s*/?\s*(\w+)", EVIL)) <= {"p", "b", "ul", "li", "pre", "mark"}


def test_a_long_list_of_reasons_is_shown_in_part_and_counted_in_full(folder):
    rows = [llava_row("0.png", "How?", "So."), *[{"x": i} for i in range(60)]]
    report = vf.load_batches(rows, make_processor("llava"), image_root=folder).report
    assert (report.rows_dropped, report.reasons, len(report.dropped)) == (60, {"format": 60}, 60)
    assert "and 40 more left out" in str(report)


def test_learned_tokens_that_the_tokenizer_does_not_know_are_remarked(folder):
    rows = [llava_row("0.png", "describe:", "a purple zeppelin"), llava_row("1.png", "describe:", "a red circle")]
    report = vf.load_batches(rows, vf.demo().processor, image_root=folder, model=vf.demo().model).report
    told = [str(remark) for remark in report.remarks if "unknown" in str(remark)]
    assert len(told) == 1
    assert "2 learned tokens" in told[0]


def test_several_rows_print_one_below_the_other_and_not_as_a_tuple():
    demo = vf.demo()
    shown = vf.load_batches(list(demo.batches)[:1], demo.processor).preview(2)
    assert len(shown) == 2
    assert list(shown) == [shown[0], shown[1]]
    assert str(shown) == f"{shown[0]}\n\n{shown[1]}"
    assert "learned in brackets" in str(shown)
    assert shown._repr_html_().count("<pre") == 2
