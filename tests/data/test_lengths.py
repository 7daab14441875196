"""Rows that are too long: a picture is never cut, an answer is cut at its end, and both are counted."""

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.data.files import llava_row, write_pictures
from tests.data.processors import PROCESSORS, make_processor
from tests.families import tiny
from tests.tiers import some
from vlmfreeze_widgets.data import prepare
from vlmfreeze_widgets.data.placeholders import image_token_id


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    return folder


ROWS = [
    llava_row("0.png", "How many?", "Three and a half of them, as far as I can see."),
    llava_row("1.png", "So?", "Two."),
    llava_row("2.png", "Is that a very long question, or is it not?" * 2, "Yes."),
]


def broken_batches(family, pictures, longest):
    """Batches at a length whose pictures and placeholders differ, or that are longer, or that teach nothing."""
    processor = make_processor(family)
    model = tiny(family).eval()
    try:
        batches = list(vf.load_batches(ROWS, processor, image_root=pictures, max_length=longest, model=model))
    except vf.VlmFreezeError:
        return []  # not one row fits: said before the run
    found = []
    for batch in batches:
        try:
            with torch.no_grad():
                loss = model(**batch).loss
        except (ValueError, RuntimeError, IndexError) as error:
            found.append(str(error)[:80])
            continue
        if batch["input_ids"].shape[1] > longest or not torch.isfinite(loss):
            found.append("too long, or nothing to learn")
    return found


@pytest.mark.check("B11")
@pytest.mark.parametrize("family", some(list(PROCESSORS), 2))
def test_at_no_length_whatever_does_a_model_get_placeholders_that_do_not_fit_its_pictures(family, pictures, figure):
    for longest in range(2, 150, 7):
        broken = broken_batches(family, pictures, longest)
        figure(len(broken))
        assert broken == [], longest


@pytest.mark.control("B11")
def test_cutting_like_a_tokenizer_does_is_caught_by_the_same_check(pictures, monkeypatch):
    """The control: everything behind max_length is dropped, pictures or not."""

    def naive(tensors, longest, image_token):
        ids = tensors["input_ids"].shape[1]
        return {k: v[:, :longest] if v.dim() == 2 and v.shape[1] == ids else v for k, v in tensors.items()}, 0

    monkeypatch.setattr(prepare, "fit", naive)
    assert any(broken_batches("qwen2_vl", pictures, longest) for longest in range(2, 150, 7))


def test_an_answer_is_cut_at_its_end_and_counted(pictures):
    processor = make_processor("qwen2_vl")
    whole = next(iter(vf.load_batches(ROWS[:1], processor, image_root=pictures, batch_size=1)))
    longest = whole["input_ids"].shape[1] - 20
    batches = vf.load_batches(ROWS[:1], processor, image_root=pictures, batch_size=1, max_length=longest)
    cut = next(iter(batches))
    assert torch.equal(cut["input_ids"], whole["input_ids"][:, :longest])
    assert torch.equal(cut["labels"], whole["labels"][:, :longest])
    assert (batches.report.cut_rows, batches.report.rows_dropped) == (1, 0)


@pytest.mark.check("B11")
def test_a_row_whose_picture_would_be_cut_and_one_without_an_answer_left_are_listed_apart(pictures):
    processor = make_processor("qwen2_vl")
    late = {"query": "A long, long question. " * 4 + "<image>", "response": "No.", "images": ["0.png"]}
    batches = vf.load_batches([late, ROWS[2], ROWS[1]], processor, image_root=pictures, max_length=100)
    reasons = [d.reason for d in batches.report.dropped]
    assert ["cut a picture" in r for r in reasons] == [True, False]
    assert "nothing of an answer" in reasons[1]
    assert batches.report.reasons == {"too-long": 2}


@pytest.mark.parametrize("family", ["qwen2_vl", "llava", "gemma3", "internvl", "idefics3", "mllama", "paligemma"])
def test_a_processor_that_makes_other_placeholders_than_the_model_has_features_is_found_before_the_run(
    family, pictures
):
    processor = make_processor(family)
    model = tiny(family)
    assert vf.load_batches(ROWS, processor, image_root=pictures, model=model).report.rows_dropped == 0
    if family == "qwen2_vl":
        processor.image_processor.merge_size = 1
    elif family == "llava":
        processor.vision_feature_select_strategy = "full"
    elif family == "mllama":
        model.config.image_token_id = 89
    elif family == "gemma3":
        processor.full_image_sequence = processor.full_image_sequence.replace(
            "<image_soft_token>", "<image_soft_token>" * 2
        )
    elif family == "idefics3":
        processor.image_seq_len = 5
    else:
        processor.image_seq_length = 5
    with pytest.raises(vf.VlmFreezeError, match="image placeholders for") as refused:
        vf.load_batches(ROWS, processor, image_root=pictures, model=model)
    assert refused.value.code == "bad-data"


@pytest.mark.parametrize("family", PROCESSORS)
def test_the_image_token_is_found_with_and_without_the_models_config(family):
    processor = make_processor(family)
    assert image_token_id(processor) == image_token_id(processor, tiny(family).config) == 90
