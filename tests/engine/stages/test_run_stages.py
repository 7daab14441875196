"""Stages run in order on the weights that the last one left, and all of it can be undone to the bit."""

from __future__ import annotations

import copy

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy, NonFiniteLoss, PlanRefused, WrongPhase

LORA = vf.Lora(rank=4, alpha=8)
STAGES = vf.Stages(
    "two",
    (
        vf.Stage("align", vf.Strategy({"projector": "full"}, 1e-2), schedule="cosine", warmup=0.25, steps=4, batch=8),
        vf.Stage("tune", vf.Strategy({"projector": "full", "language_model": LORA}, 1e-2), epochs=1),
    ),
)


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.check("S1")
def test_stages_are_undone_to_the_bit(figure):
    model = tiny_llava()
    before = fingerprint(model)
    done = vf.run_stages(model, STAGES, batches(3))
    assert fingerprint(model)["values"] != before["values"]
    assert done.undo() is model
    changed = [k for k, v in before.items() if fingerprint(model)[k] != v]
    figure(len(changed))
    assert changed == []
    with pytest.raises(WrongPhase):
        done.undo()


def test_a_stage_begins_with_the_weights_of_the_one_before():
    model = tiny_llava()
    by_hand = copy.deepcopy(model)
    done = vf.run_stages(model, STAGES, batches(3), accumulation=2)
    vf.Burst(
        by_hand, STAGES["align"].strategy, batches(3), steps=4, accumulation=2, scheduler="cosine", warmup_steps=1
    ).run().keep()
    vf.Burst(by_hand, STAGES["tune"].strategy, batches(3), steps=2, accumulation=2).run().keep(merge=True)
    assert {n: len(h) for n, h in done.histories.items()} == {"align": 4, "tune": 2}
    theirs = weights(by_hand)
    assert all(torch.equal(value, theirs[name]) for name, value in weights(model).items())


@pytest.mark.control("S1")
def test_without_the_first_stage_the_second_ends_elsewhere():
    model, other = tiny_llava(), tiny_llava()
    vf.run_stages(model, STAGES, batches(3))
    vf.run_stages(other, vf.Stages("one", (STAGES["tune"],)), batches(3))
    theirs = weights(other)
    assert any(not torch.equal(value, theirs[name]) for name, value in weights(model).items())


def test_a_stage_that_fails_leaves_the_model_as_before_the_first():
    model = tiny_llava()
    before = fingerprint(model)
    bad = batches(3)
    bad[1]["pixel_values"] = bad[1]["pixel_values"] * float("nan")
    with pytest.raises(NonFiniteLoss):
        vf.run_stages(model, STAGES, {"align": batches(3), "tune": bad})
    assert fingerprint(model) == before


def test_what_cannot_run_is_refused_before_anything_runs():
    model = tiny_llava()
    before = fingerprint(model)
    nothing = vf.Stages("x", (STAGES["align"], vf.Stage("none", {"projector": "frozen"}, steps=1)))
    with pytest.raises(PlanRefused):
        vf.run_stages(model, nothing, batches(2))
    with pytest.raises(InvalidStrategy, match="'tune'"):
        vf.run_stages(model, STAGES, {"align": batches(2)})
    with pytest.raises(InvalidStrategy, match="how many steps"):
        vf.run_stages(model, STAGES, iter(batches(2)))
    assert fingerprint(model) == before


def test_a_published_recipe_runs_short_and_notes_what_was_otherwise():
    model = tiny_llava()
    seen = []
    recipe = vf.published("llava-1.5", vf.read_tree(model), instead="lora")
    done = vf.run_stages(
        model,
        recipe,
        batches(2),
        steps=2,
        rows=2,
        on_record=lambda stage, record: seen.append((stage.name, record.step)),
    )
    assert seen == [("pretrain", 1), ("pretrain", 2), ("lora", 1), ("lora", 2)]
    assert any("made for 256 rows per step, yours has 2" in note for note in done.notes)
    assert not any(".lora_" in name for name, _ in model.named_parameters())
    assert "pretrain: 2 steps" in repr(done)
