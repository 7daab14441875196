"""All corners of frozen, full and LoRA in one call, and a sentence on which part pays."""

from __future__ import annotations

import pytest

import vlmfreeze_widgets as vf
from tests.tiers import some
from tests.tiny import batches, differences, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import InvalidStrategy, UnknownTarget

LORA = vf.Lora(rank=4, alpha=8)


def ablated(**given):
    return vf.ablation(
        tiny_llava(), batches(3), **{"eval_batches": batches(2), "steps": 3, "seeds": 2, "lr": 1e-2, **given}
    )


@pytest.mark.parametrize(
    "components",
    some([(("projector", "language_model"),), (("vision_tower", "projector", "language_model"),)], 2),
    ids=len,
)
def test_every_corner_but_the_one_without_training_is_run(components):
    model = tiny_llava()
    before = fingerprint(model)
    given = {} if len(components) == 3 else {"components": list(components)}  # without a word all three are meant
    done = vf.ablation(
        model, batches(2), eval_batches=batches(1), steps=1, seeds=1, tunings=["frozen", "full", LORA], **given
    )
    assert len(done.board.entries) == 3 ** len(components) - 1
    assert ("full",) * len(components) in {tuple(sorted(t.kind for t in r.values())) for r in done.rules.values()}
    assert differences(fingerprint(model), before) == 0
    assert {(w.component, w.tuning) for w in done.worths} == {(c, k) for c in components for k in ("full", "lora")}
    assert all(w.corners == 3 ** (len(components) - 1) for w in done.worths)


def test_a_part_at_rate_zero_is_worth_nothing_and_one_that_learns_pays():
    done = ablated(
        components=["projector", "language_model"], tunings=["frozen", "full"], steps=12, seeds=3, eval_batches=batches(3),
        lr={"projector": 0.0, "language_model": 1e-2}, max_grad_norm=None,
    )  # fmt: skip
    worth = {w.component: w.difference for w in done.worths}
    # Without clipping: the gradient of a part at rate 0 would still count in the norm that the others are clipped by.
    assert abs(worth["projector"].mean) < 1e-5
    assert worth["projector"].call != "lower"
    assert worth["language_model"].call == "lower"
    assert done.sentence.startswith("Training the LLM (full) pays most")
    assert "Too close to call: projector (full)" in done.sentence
    assert "LLM full" in str(done)


def test_one_component_is_measured_against_the_start():
    done = ablated(components=["projector"], tunings=["frozen", "full"])
    (worth,) = done.worths
    entry = done.board.entries[0]
    assert worth.difference.mean == pytest.approx(done.board.loss(entry.name) - done.board.loss_at_start(entry.name))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"eval_batches": None}, InvalidStrategy),
        ({"tunings": ["full", "lora"]}, InvalidStrategy),
        ({"tunings": ["frozen"]}, InvalidStrategy),
        ({"components": []}, InvalidStrategy),
        ({"components": ["nobody"]}, UnknownTarget),
    ],
)
def test_what_cannot_be_meant_is_refused(given, error):
    with pytest.raises(error):
        ablated(**given)
