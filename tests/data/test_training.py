"""Loaded batches train: the tiny models of nine families, the demo; and putting rows together changes no loss."""

import json

import pytest
import torch
from PIL import Image

import vlmfreeze_widgets as vf
from tests.data.files import llava_row, write_json, write_pictures
from tests.data.processors import PROCESSORS, make_processor
from tests.families import tiny
from vlmfreeze_widgets.data import collate as collating
from vlmfreeze_widgets.demo.scenes import scenes

TEXT_TOO = [f for f in PROCESSORS if f != "paligemma"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_pictures(folder)
    rows = [
        llava_row("0.png", "How many red squares?", "Three."),
        llava_row("1.png", "And here?", "A good deal more than that, I should say."),
        llava_row("2.png", "What?", "No."),
        llava_row("3.png", "What is it that can be seen in this picture?", "Yellow."),
    ]
    return write_json(folder / "rows.json", rows)


@pytest.mark.parametrize("family", PROCESSORS)
def test_two_steps_of_a_burst_run_on_them_and_every_component_that_trains_is_reached(family, source):
    model = tiny(family)
    batches = vf.load_batches(source, make_processor(family), batch_size=2, model=model)
    assert (len(batches), batches.report.dropped) == (2, ())
    result = vf.Burst(model, {"projector": "full", "language_model": "full"}, batches, steps=2, lr=1e-3).run()
    assert [v.status for v in result.verdicts if v.component == "language_model"] == ["ok"], result.verdicts


def summed_loss(model, batch):
    logits = model(**{k: v for k, v in batch.items() if k != "labels"}).logits
    return torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum", ignore_index=-100
    ).item()


def loss_gap(family, source, root=None):
    """|loss of rows together - sum of their losses alone|, in units of the latter."""
    model = tiny(family).eval()

    def load(size):
        return list(vf.load_batches(source, make_processor(family), batch_size=size, model=model, image_root=root))

    with torch.no_grad():
        alone = sum(summed_loss(model, batch) for batch in load(1))
        together = sum(summed_loss(model, batch) for batch in load(8))
    return abs(together - alone) / alone


@pytest.mark.parametrize("family", PROCESSORS)
def test_rows_together_have_the_loss_of_the_rows_alone(family, source):
    assert loss_gap(family, source) < 1e-5


@pytest.mark.check("B13")
@pytest.mark.parametrize("family", TEXT_TOO)
def test_rows_with_two_one_and_no_pictures_go_together(family, source):
    rows = [
        llava_row(["0.png", "1.png"], "Which is red?", "The first."),
        llava_row(None, "Hello?", "Good day to you."),
        llava_row("2.png", "And this?", "Blue."),
    ]
    assert loss_gap(family, rows, source.parent) < 1e-5


def test_a_collation_that_learns_the_padding_is_caught_by_the_same_check(source, monkeypatch):
    """The control: labels padded like everything else."""
    monkeypatch.setattr(collating, "IGNORED", 0)
    assert loss_gap("llava", source) > 0.1


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "gemma3", "idefics3", "mllama"])
def test_a_batch_is_what_the_processor_itself_makes_of_the_rows(family, source):
    processor = make_processor(family)
    ours = next(iter(vf.load_batches(source, processor, batch_size=4)))
    template = processor.chat_template
    raw = json.loads(source.read_text())
    chats = [
        [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": r["conversations"][0]["value"][8:]}],
            },
            {"role": "assistant", "content": [{"type": "text", "text": r["conversations"][1]["value"]}]},
        ]
        for r in raw
    ]
    texts = [processor.apply_chat_template(chat, chat_template=template) for chat in chats]
    if family == "llava":
        texts = [text.rstrip() + "</s>" for text in texts]
    pictures = [[Image.open(source.parent / r["image"]).convert("RGB")] for r in raw]
    theirs = processor(
        text=texts, images=pictures, return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False
    )
    assert set(ours) - {"labels"} == set(theirs)
    for name, value in theirs.items():
        if name == "cross_attention_mask":
            value = value * ours["attention_mask"][:, :, None, None]  # noqa: PLW2901 - theirs lets padding look at pictures
        assert torch.equal(ours[name], value), name


def test_the_demo_is_made_again_from_its_pictures_and_captions(tmp_path):
    demo = vf.demo()
    shown = scenes(64 * 16, held_out=False, seed=7)[:16]
    rows = [{"image": s.draw(), "caption": s.caption} for s in shown]
    batches = vf.load_batches(rows, demo.processor, batch_size=16, caption_prompt="describe :", model=demo.model)
    (made,) = list(batches)
    for name, value in demo.batches[0].items():
        assert torch.equal(made[name], value), name
    vf.Burst(demo.model, {"projector": "full"}, batches, steps=2, lr=1e-3).run()
