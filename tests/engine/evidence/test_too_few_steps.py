"""A burst that ends before anything can be judged says so; "waiting" is said only while steps are still to come."""

import pytest

import vlmfreeze_widgets as vf
from tests.tiny import batches, tiny_llava

STRATEGY = {"projector": "full", "language_model": vf.Lora(rank=2)}


def told(verdicts):
    return {v.component: (v.status, v.text) for v in verdicts if v.selected}


def test_after_a_stop_before_the_first_step_nothing_waits_any_more():
    burst = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=4)
    burst.stop()
    assert list(burst) == []
    for status, text in told(burst.result().verdicts).values():
        assert (status, text) == ("pending", "not known: no step was taken")


@pytest.mark.parametrize("steps", [1, 2])
def test_one_step_is_too_few_for_lora_and_two_are_enough(steps):
    burst = vf.Burst(tiny_llava(), STRATEGY, batches(), steps=steps, verdict_after=1)
    for record in burst:
        if record.step == 1:
            during = told(burst.verdicts)
    after = told(burst.result().verdicts)
    assert during["language_model"] == ("pending", "waiting for the first steps")
    assert "waiting" not in after["language_model"][1]
    assert after["language_model"][0] == ("pending" if steps == 1 else "ok")
    assert after["projector"][0] == "ok"
