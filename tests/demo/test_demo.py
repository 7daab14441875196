"""The shipped tiny VLM is real, small, offline, and its lesson works: the projector alone joins the two, nothing else does."""

import json
import socket
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiers import some
from vlmfreeze_widgets.demo.bundle import WEIGHTS, load_demo, make_batch
from vlmfreeze_widgets.demo.lessons import LESSON_LR, LESSON_STEPS
from vlmfreeze_widgets.demo.scenes import attributes_right, scenes


@pytest.fixture(scope="module")
def demo():
    return load_demo()


def lesson(rules):
    demo = load_demo()
    result = vf.Burst(demo.model, rules, demo.batches, steps=LESSON_STEPS, lr=LESSON_LR).run()
    with result.applied():
        return demo.score()


def test_it_loads_without_a_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert type(vf.demo().model).__name__ == "LlavaForConditionalGeneration"


def test_it_can_be_called_by_its_name_before_and_after_its_folder_was_imported():
    import vlmfreeze_widgets.demo as folder

    assert callable(vf.demo)
    assert callable(folder)


def test_it_is_between_one_and_three_million_parameters_in_less_than_eight_megabytes(demo):
    assert 1e6 < vf.read_tree(demo.model).total_params < 3e6
    assert sum(f.stat().st_size for f in WEIGHTS.iterdir()) < 8e6


def test_the_saved_processor_is_the_one_made_in_code(demo):
    from transformers import AutoProcessor

    saved = AutoProcessor.from_pretrained(WEIGHTS)
    shown = demo.eval_batches.scenes[:3]
    for key, value in make_batch(saved, shown).items():
        assert torch.equal(value, make_batch(demo.processor, shown)[key]), key


def test_labels_are_on_the_caption_and_the_end_alone(demo):
    batch = demo.batches[0]
    for row, caption in zip(range(3), demo.captions, strict=False):
        labels = batch["labels"][row]
        assert demo.processor.tokenizer.decode(labels[labels != -100]) == f"{caption} </s>"


def test_held_out_pictures_show_pairs_that_no_training_picture_has(demo):
    def pairs(batches):
        return {tuple(sorted(t.glyph for t in s.things)) for s in batches.scenes}

    assert not pairs(demo.batches) & pairs(demo.eval_batches)


def test_the_same_seed_draws_the_same_pictures():
    one, two = scenes(3, False, 5), scenes(3, False, 5)
    assert [s.draw().tobytes() for s in one] == [s.draw().tobytes() for s in two]
    assert one != scenes(3, False, 6)


def test_batches_are_a_sequence_that_can_be_read_twice(demo):
    assert len(demo.batches) == 64
    assert torch.equal(demo.batches[-1]["input_ids"], list(demo.batches[62:])[-1]["input_ids"])
    with pytest.raises(IndexError):
        demo.batches[64]


def test_the_projector_alone_learns_the_lesson():
    attributes, captions = lesson({"projector": "full"})
    assert attributes >= 0.95
    assert captions >= 0.8


@pytest.mark.parametrize("rules", some([{"head": "full"}, {"projector": "full", "vision_tower": "full"}], 2))
def test_other_ways_do_clearly_worse(rules):
    attributes, captions = lesson(rules)
    assert attributes < 0.7
    assert captions < 0.3


@pytest.mark.check("L14")
def test_the_readme_tells_the_table_that_the_recipe_wrote():
    table = json.loads((WEIGHTS / "lessons.json").read_text(encoding="utf-8"))
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    for name, row in table.items():
        share = [f"{100 * row[key]:.1f}".rstrip("0").rstrip(".") for key in ("attributes right", "captions right")]
        assert f"| {name} | {share[0]} % | {share[1]} % | {row['loss after']:.3f} |" in readme


def test_attributes_are_counted_by_colour_shape_and_place():
    truth = "a red circle in the top left and a blue square in the bottom right"
    assert attributes_right(truth, truth) == 1
    assert attributes_right("a red square in the top left and a blue square in the top right", truth) == pytest.approx(
        4 / 6
    )
    assert attributes_right("", truth) == 0


def test_the_recipe_is_the_same_for_the_same_seed():
    from vlmfreeze_widgets.demo.tiny_vlm import make_model, make_processor
    from vlmfreeze_widgets.demo.train import train_language_model, train_tower

    def run(seed):
        model = make_model(seed)
        train_language_model(model, 3, seed)
        train_tower(model, make_processor(), 2, seed)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    assert torch.equal(run(3), run(3))
    assert not torch.equal(run(3), run(4))
