"""A held-out or text-only batch whose loss is NaN: the burst goes on, and it is told, not taken for unmeasured."""

import math
from dataclasses import replace

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.tiny import batch, batches, tiny_llava
from vlmfreeze_widgets.core.history.history import History
from vlmfreeze_widgets.core.history.retention_result import RetentionResult
from vlmfreeze_widgets.core.wire.messages import ROW_COLUMNS, row_values
from vlmfreeze_widgets.engine.evidence.evaluation import non_finite_results


def spoilt():
    made = batch(7)
    made["pixel_values"] = torch.full_like(made["pixel_values"], float("nan"))
    return [made]


@pytest.fixture(scope="module")
def result():
    return vf.Burst(
        tiny_llava(), {"projector": "full"}, batches(), steps=3, lr=1e-3, eval_batches=spoilt(), eval_every=2
    ).run()


def test_the_burst_goes_on_and_says_at_which_steps_the_look_found_no_number(result):
    assert result.history.taken == 3
    assert math.isnan(result.history[0].eval_loss)
    assert "The held-out loss is nan at step 1." in result.history.notes
    assert "held-out loss is nan" in repr(result)


def test_on_the_wire_it_is_not_the_same_as_a_step_without_a_look(result):
    column = ROW_COLUMNS.index("eval_loss")
    sent = [row_values(record, [], [])[column] for record in result.history]
    assert [record.eval_loss is None for record in result.history] == [math.isnan(value) for value in sent]
    assert math.inf in sent


def test_the_control_finite_looks_are_sent_as_they_are_and_not_told():
    result = vf.Burst(tiny_llava(), {"projector": "full"}, batches(), steps=2, lr=1e-3, eval_batches=[batch(9)]).run()
    assert row_values(result.history[0], [], [])[ROW_COLUMNS.index("eval_loss")] == result.history[0].eval_loss
    assert not [note for note in result.history.notes if "loss" in note]


def test_a_loss_and_a_kl_on_text_alone_are_told_too_and_survive_the_file(result):
    nan = float("nan")
    record = replace(result.history[0], eval_loss=None, retention=RetentionResult(nan, nan))
    assert non_finite_results(record) == [
        "The loss on text alone is nan at step 1.",
        "The KL on text alone is nan at step 1.",
    ]
    assert row_values(record, [], [])[-2:] == [math.inf, math.inf]
    assert math.isnan(History.from_json(result.history.to_json())[0].eval_loss)
