"""Memory ran out: the session keeps what was seen to run and runs so on one request, with the same step and the model as before."""

import json
from pathlib import Path

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.engine.failures.test_out_of_memory import limit_rows
from tests.tiny import batch, tiny_llava
from vlmfreeze_widgets.core.errors import BadBatch, WrongPhase
from vlmfreeze_widgets.core.memory_advice import MemoryAdvice
from vlmfreeze_widgets.core.wire.advice_state import advice_state
from vlmfreeze_widgets.engine.batches.resize import pieces, split_rows
from vlmfreeze_widgets.session import Session

GOLDEN = Path(__file__).parents[1] / "wire" / "state_advice.json"


def rows_of(source):
    return [len(b["labels"]) for b in source]


def test_after_a_lack_of_memory_one_request_runs_with_what_was_seen_to_run():
    model = tiny_llava()
    limit_rows(model, 2)
    session = Session(model, [batch(1, rows=8), batch(2, rows=8)])
    before = {name: p.clone() for name, p in model.named_parameters()}
    session.run(2)
    assert session.wait(120)
    assert session.phase == "failed"
    assert session.advice == MemoryAdvice(2, 4, False, 8)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    session.run_smaller()
    assert session.wait(120)
    assert (session.phase, len(session.history), session.advice) == ("deciding", 2, None)
    session.close()


def test_the_smaller_micro_batches_make_the_same_step():
    made = [batch(seed, rows=8) for seed in range(2)]
    whole = vf.Burst(tiny_llava(), {"projector": "full"}, made, steps=2, lr=1e-3).run().history
    cut = split_rows(made, 2)
    assert rows_of(cut) == [2] * 8
    parts = vf.Burst(tiny_llava(), {"projector": "full"}, cut, steps=2, lr=1e-3, accumulation=4).run().history
    assert [r.loss for r in parts] == pytest.approx([r.loss for r in whole], rel=1e-5)
    assert [r.grad_norm for r in parts] == pytest.approx([r.grad_norm for r in whole], rel=1e-4)


def test_the_control_without_a_lack_of_memory_there_is_nothing_to_run_smaller():
    session = Session(tiny_llava(), [batch(1)])
    with pytest.raises(WrongPhase, match="no advice"):
        session.run_smaller()
    session.close()


def test_patches_go_with_the_row_whose_grid_they_are_of():
    grid = torch.tensor([[1, 2, 2], [1, 1, 3], [1, 2, 1]])
    made = {"labels": torch.zeros(3, 4, dtype=torch.long), "image_grid_thw": grid, "pixel_values": torch.arange(9)}
    cut = pieces(made, 2)
    assert [p["pixel_values"].tolist() for p in cut] == [[0, 1, 2, 3, 4, 5, 6], [7, 8]]


def test_what_nobody_can_tell_apart_is_refused_and_not_cut_wrongly():
    made = {"labels": torch.zeros(2, 4, dtype=torch.long), "pixel_values": torch.zeros(6, 3)}
    with pytest.raises(BadBatch, match="divided"):
        split_rows([made], 1)


def test_a_source_that_is_no_list_is_cut_while_it_is_read():
    class Source:
        def __iter__(self):
            return iter([batch(1, rows=5)])

    assert rows_of(split_rows(Source(), 2)) == [2, 2, 1]


def test_the_state_of_advice_is_golden():
    assert advice_state(MemoryAdvice(2, 4, False, 8)) == json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert advice_state(None) == {}
