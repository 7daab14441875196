"""Whatever goes wrong in a burst, the model is as before, what was learnt until then is there, and the person is told."""

import json
import math

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiers import covering
from tests.tiny import batch, batches, fingerprint, tiny_llava
from vlmfreeze_widgets.core.errors import NonFiniteLoss
from vlmfreeze_widgets.core.history.history import History

PROJECTOR = vf.Strategy({"projector": "full"}, lr={"": 1e-2})
MIXED = vf.Strategy({"projector": "full", "language_model": vf.Lora(rank=4)}, lr={"": 1e-2})


def spoilt(value, seed=0):
    made = batch(seed)
    made["pixel_values"][0, 0, 0, 0] = value
    return made


def trained(burst):
    burst.close()
    return {name: value.clone() for name, value in burst.trained_values.items()}


# --- numbers that are not finite ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "k", "strategy"), covering([math.nan, math.inf, -math.inf], [1, 3, 5], [PROJECTOR, MIXED])
)
@pytest.mark.check("N18")
def test_at_a_step_that_is_not_finite_the_burst_ends_with_the_weights_of_the_step_before(k, value, strategy, figure):
    data = batches(5)
    model = tiny_llava()
    before = fingerprint(model)
    burst = vf.Burst(model, strategy, [*data[: k - 1], spoilt(value)], steps=10)
    records = list(burst)
    figure(records[-1].step - k)
    assert [r.taken for r in records] == [True] * (k - 1) + [False]
    assert not math.isfinite(records[-1].loss)
    assert f"Step {k} was not taken" in records[-1].problem
    result = burst.result()
    assert isinstance(result.problem, NonFiniteLoss)
    assert f"Step {k}" in result.stopped_early
    assert fingerprint(model) == before
    clean = vf.Burst(tiny_llava(), strategy, data, steps=max(k - 1, 1))
    if k > 1:
        clean.run()
    else:
        next(clean)
    wanted = trained(clean)
    if k == 1:
        wanted = {n: p.detach() for n, p in tiny_llava().named_parameters() if n in wanted}
    assert all(torch.equal(trained(burst)[n], v) for n, v in wanted.items())


@pytest.mark.control("N18")
def test_the_control_a_step_taken_with_nan_would_have_spoilt_every_weight():
    model = tiny_llava()
    optimizer = torch.optim.AdamW(model.model.multi_modal_projector.parameters(), lr=1e-2)
    model(**spoilt(math.nan)).loss.backward()
    optimizer.step()
    assert all(bool(p.isnan().all()) for p in model.model.multi_modal_projector.parameters())


@pytest.mark.parametrize("keep", [True, False])
def test_what_was_learnt_before_nan_can_be_kept_or_let_go(keep):
    model = tiny_llava()
    before = fingerprint(model)
    burst = vf.Burst(model, PROJECTOR, [*batches(2), spoilt(math.nan)], steps=10)
    with pytest.raises(NonFiniteLoss):
        burst.run()
    result = burst.result()
    assert "Step 3 was not taken" in repr(result)
    if keep:
        result.keep()
        twin = tiny_llava()
        vf.Burst(twin, PROJECTOR, batches(2), steps=2).run().keep()
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    else:
        result.discard()
        assert fingerprint(model) == before
    vf.Burst(model, PROJECTOR, batches(), steps=1).run()


@pytest.mark.check("S6", "F18")
def test_a_history_with_nan_is_valid_json_and_comes_back_number_for_number():
    burst = vf.Burst(tiny_llava(), MIXED, [*batches(2), spoilt(math.nan)], steps=10, eval_batches=batches(1))
    history = (list(burst), burst.history)[1]
    text = history.to_json()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    back = History.from_json(text)
    assert back.to_json() == text
    assert math.isnan(back[-1].loss)
    assert [r.problem for r in back] == [r.problem for r in history]
    assert list(back)[:2] == list(history)[:2]
    assert back[0].grad_norms.norms == history[0].grad_norms.norms


def test_verdicts_are_of_the_steps_that_were_taken():
    burst = vf.Burst(tiny_llava(), PROJECTOR, [*batches(2), spoilt(math.nan)], steps=10)
    list(burst)
    projector = next(v for v in burst.result().verdicts if v.component == "projector")
    assert projector.status == "ok"
    assert math.isfinite(projector.gradient)
