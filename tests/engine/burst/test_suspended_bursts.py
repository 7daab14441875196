"""A burst gives the model away between two steps and goes on later, bit for bit; two bursts take turns on one model."""

from __future__ import annotations

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batches, differences, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import ModelBusy

LORA = vf.Lora(rank=4, alpha=8)
PROJECTOR = vf.Strategy({"projector": "full"}, 1e-2)
BOTH = vf.Strategy({"projector": "full", "language_model": LORA}, 1e-2)


def burst(model, strategy, **settings):
    settings = {"steps": 4, "accumulation": 2, "seed": 3, **settings}
    return vf.Burst(model, strategy, batches(3), eval_batches=batches(2), **settings)


def trace(history):
    return [(r.step, r.loss, r.grad_norm, r.eval_loss) for r in history]


@pytest.mark.parametrize("strategy", [PROJECTOR, BOTH, vf.Strategy({"language_model": "full"}, 1e-2)])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_burst_that_was_set_aside_after_each_step_has_the_same_numbers_and_weights(strategy, dropout):
    alone = burst(tiny_llava(dropout=dropout), strategy)
    expected = alone.run()
    model = tiny_llava(dropout=dropout)
    before = fingerprint(model)
    turned = burst(model, strategy)
    for _ in turned:
        turned.suspend()
        assert differences(fingerprint(model), before) == 0
    result = turned.result()
    assert trace(result.history) == trace(expected.history)
    assert all(torch.equal(v, alone.trained_values[k]) for k, v in turned.trained_values.items())
    assert result.proof.holds
    assert result.history.tainted == []
    assert result.check_restored().holds


def test_two_bursts_take_turns_on_one_model_and_neither_notices_the_other():
    alone = [trace(burst(tiny_llava(dropout=0.2), s).run().history) for s in (PROJECTOR, BOTH)]
    model = tiny_llava(dropout=0.2)
    before = fingerprint(model)
    both = [burst(model, s) for s in (PROJECTOR, BOTH)]
    for _ in range(4):
        for one in both:
            next(one)
            one.suspend()
    results = [one.result() for one in both]
    assert [trace(r.history) for r in results] == alone
    assert [r.history.tainted for r in results] == [[], []]
    assert differences(fingerprint(model), before) == 0


def test_without_setting_aside_the_second_burst_is_refused():
    model = tiny_llava()
    first, second = burst(model, PROJECTOR), burst(model, BOTH)
    next(first)
    with pytest.raises(ModelBusy):
        next(second)
    first.close()


def test_what_others_did_before_a_turn_ended_is_told():
    model = tiny_llava()
    one = burst(model, PROJECTOR)
    next(one)
    model.eval()
    one.suspend()
    next(one)
    assert any("set to another mode" in text for text in one.result().history.tainted)


def test_a_burst_that_is_aside_ends_without_touching_the_model_that_another_has():
    model = tiny_llava()
    before = fingerprint(model)
    first = burst(model, BOTH)
    next(first)
    first.suspend()
    second = burst(model, PROJECTOR)
    next(second)
    first.close()
    assert first.trained_values
    assert next(second).step == 2
    second.close()
    assert differences(fingerprint(model), before) == 0


@pytest.mark.parametrize("settings", [{"checkpointing": True}, {"cache_features": True}, {"optimizer": "sgd"}])
def test_recomputed_layers_and_cached_features_take_turns_too(settings):
    expected = trace(burst(tiny_llava(), BOTH, **settings).run().history)
    turned = burst(tiny_llava(), BOTH, **settings)
    for _ in turned:
        turned.suspend()
    assert trace(turned.history) == expected
    assert turned.result().history.tainted == []


def test_bfloat16_weights_keep_their_masters_while_aside():
    expected = trace(burst(tiny_llava().bfloat16(), BOTH).run().history)
    turned = burst(tiny_llava().bfloat16(), BOTH)
    for _ in turned:
        turned.suspend()
    assert trace(turned.history) == expected
