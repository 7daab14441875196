"""Stages in a session: each on the weights of the one before, stopped, kept, or taken back to the bit."""

from __future__ import annotations

import copy
import struct

import pytest
import torch

import vlmfreeze_widgets as vf
from tests.engine.failures.test_out_of_memory import limit_rows
from tests.tiny import batch, batches, fingerprint, tiny_llava
from tests.waiting import until
from vlmfreeze_widgets.core.errors import InvalidStrategy, PlanRefused, UnknownTarget, WrongPhase
from vlmfreeze_widgets.core.language.phrase import spoken
from vlmfreeze_widgets.session import BurstSettings, Session

LORA = vf.Lora(rank=4, alpha=8)
STAGES = vf.Stages(
    "two",
    (
        vf.Stage("align", vf.Strategy({"projector": "full"}, 1e-2), schedule="cosine", warmup=0.25, steps=4, batch=8),
        vf.Stage("tune", vf.Strategy({"projector": "full", "language_model": LORA}, 1e-2), epochs=1, data="mine"),
    ),
)
ALONE = vf.Strategy({"vision_tower": "full"})


@pytest.fixture
def open_session():
    opened = []

    def make(model, source=STAGES, some=None, **settings):
        session = Session(model, batches(3) if some is None else some, source, settings=BurstSettings(**settings))
        opened.append(session)
        return session

    yield make
    for session in opened:
        session.close()


def statuses(session):
    return [stage.status for stage in session.staged.stages]


def test_stages_in_a_session_train_what_run_stages_trains(open_session):
    model = tiny_llava()
    other = copy.deepcopy(model)
    session = open_session(model)
    session.run_stages()
    assert session.wait(120)
    assert statuses(session) == ["done", "done"]
    assert [s.taken for s in session.staged.stages] == [4, 3]
    done = vf.run_stages(other, STAGES, batches(3))
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())
    assert {n: [r.loss for r in h] for n, h in session.stage_histories.items()} == {
        n: [r.loss for r in h] for n, h in done.histories.items()
    }
    assert session.staged.active
    assert session.staged.seconds == pytest.approx(sum(r.seconds for h in session.stage_histories.values() for r in h))


@pytest.mark.check("S1")
def test_discarded_stages_leave_every_bit_as_before_the_first(open_session, figure):
    model = tiny_llava()
    before = fingerprint(model)
    session = open_session(model)
    session.strategy = ALONE
    session.run_stages()
    assert session.wait(120)
    assert fingerprint(model)["values"] != before["values"]
    session.discard_stages()
    assert session.wait(120)
    changed = [name for name, value in before.items() if fingerprint(model)[name] != value]
    figure(len(changed))
    assert changed == []
    seen = session.staged.restored
    assert (seen.changed, seen.tensors > 50) == ((), True)
    assert session.staged.outcome == "discarded"
    assert session.strategy == ALONE
    assert session.phase == "idle"
    assert session.status.why_not is None


@pytest.mark.control("S1")
def test_kept_stages_are_on_the_model_and_another_look_would_find_them(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    session = open_session(model)
    session.run_stages()
    assert session.wait(120)
    start = session._stages_decision.start
    session.keep_stages()
    assert fingerprint(model)["values"] != before["values"]
    assert start.check().changed  # a check that could not fail would say ()
    assert session.staged.outcome == "kept"
    with pytest.raises(WrongPhase):
        session.discard_stages()


def test_one_stage_at_a_time_and_between_them_nothing_else_runs(open_session):
    session = open_session(tiny_llava())
    session.run_stages(only_next=True)
    assert session.wait(120)
    assert statuses(session) == ["done", "coming"]
    assert session.phase == "idle"
    with pytest.raises(WrongPhase, match="keep or discard them first"):
        session.run(1)
    assert spoken(session.status.why_not, "zh") == "模型上是各阶段训练后的权重：请先保留或放弃。"
    with pytest.raises(WrongPhase):
        session.choose_stages(None)
    session.probe()
    assert session.wait(120)
    session.run_stages(only_next=True)
    assert session.wait(120)
    assert statuses(session) == ["done", "done"]
    with pytest.raises(WrongPhase, match="all stages are done"):
        session.run_stages()
    session.keep_stages()
    session.run(1)
    assert session.wait(120)


def test_a_stage_that_is_stopped_is_decided_as_any_burst(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    session = open_session(model)
    session.set_stage_steps("align", 5000)
    session.run_stages()
    until(lambda: session.status.step > 2, lambda: session.status)
    session.stop()
    assert session.wait(120)
    assert statuses(session) == ["stopped", "coming"]
    assert session.phase == "deciding"
    assert fingerprint(model) == before
    session.discard()
    assert session.wait(120)
    assert statuses(session) == ["coming", "coming"]
    assert not session.staged.active
    session.set_stage_steps("align", 5000)
    session.run_stages()
    until(lambda: session.status.step > 2, lambda: session.status)
    session.stop()
    assert session.wait(120)
    session.keep()
    assert session.wait(120)
    assert statuses(session) == ["done", "coming"]
    assert 2 < session.staged.stages[0].taken < 5000
    session.discard_stages()
    assert session.wait(120)
    assert fingerprint(model) == before


def test_a_stage_that_fails_leaves_what_the_ones_before_made_and_can_be_run_again(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    bad = batches(3)
    bad[0]["pixel_values"] = bad[0]["pixel_values"] * float("nan")
    feeds = {"align": batches(3), "tune": bad}
    session = open_session(model, some=feeds)
    session.run_stages()
    assert session.wait(120)
    assert statuses(session) == ["done", "failed"]
    assert session.status.error is not None
    after_first = fingerprint(model)["values"]
    assert after_first != before["values"]
    feeds["tune"][0] = batches(1)[0]
    session.run_stages()
    assert session.wait(120)
    assert statuses(session) == ["done", "done"]
    session.discard_stages()
    assert session.wait(120)
    assert fingerprint(model) == before


def test_each_stage_has_its_own_batches_where_they_are_given(open_session):
    session = open_session(tiny_llava(), some={"align": batches(3), "tune": batches(5)[3:]})
    assert [s.steps for s in session.staged.stages] == [4, 2]
    assert session.staged.stages[1].data == "mine"
    session.run_stages()
    assert session.wait(120)
    other = tiny_llava()
    done = vf.run_stages(other, STAGES, {"align": batches(3), "tune": batches(5)[3:]})
    assert [r.loss for r in session.stage_histories["tune"]] == [r.loss for r in done.histories["tune"]]


def test_what_trains_nothing_is_refused_before_anything_runs(open_session):
    model = tiny_llava()
    before = fingerprint(model)
    nothing = vf.Stages("x", (STAGES["align"], vf.Stage("none", {"projector": "frozen"}, steps=1)))
    session = open_session(model, nothing)
    assert session.staged.stages[1].refusal
    with pytest.raises(PlanRefused):
        session.run_stages()
    assert fingerprint(model) == before
    assert statuses(session) == ["coming", "coming"]


def test_a_published_recipe_takes_as_many_steps_as_a_burst(open_session):
    session = open_session(tiny_llava(), ALONE, steps=3)
    assert session.staged is None
    assert "llava-1.5" in [c.name for c in session.curricula]
    session.choose_stages("llava-1.5")
    assert [(s.name, s.steps) for s in session.staged.stages] == [("pretrain", 3), ("finetune", 3)]
    assert session.staged.stages[0].how.startswith("256 rows")
    with pytest.raises(UnknownTarget):
        session.choose_stages("llava-15")
    assert session.staged.name == "llava-1.5"
    session.choose_stages(None)
    assert session.staged is None


def test_a_curriculum_is_made_of_strategies_one_after_another(open_session):
    session = open_session(tiny_llava(), vf.Strategy({"projector": "full"}), steps=2)
    session.add_stage("align")
    session.set_stage_steps("align", 1)
    session.strategy = ALONE
    session.add_stage("tune")
    assert [(s.name, s.steps) for s in session.staged.stages] == [("align", 1), ("tune", 2)]
    with pytest.raises(InvalidStrategy):
        session.add_stage("tune")
    with pytest.raises(InvalidStrategy):
        session.set_stage_steps("task", 3)
    session.run_stages()
    assert session.wait(120)
    assert statuses(session) == ["done", "done"]


def test_after_memory_ran_out_in_a_stage_it_goes_on_with_fewer_rows(open_session):
    model = tiny_llava()
    limit_rows(model, 2)
    session = open_session(model, some=[batch(1, rows=4), batch(2, rows=4)])
    session.set_stage_steps("align", 2)
    session.run_stages()
    assert session.wait(120)
    assert statuses(session) == ["failed", "coming"]
    assert session.advice is not None
    session.run_smaller()
    assert session.wait(120)
    assert statuses(session) == ["done", "done"]


def test_the_curve_of_a_stage_is_its_history(open_session):
    session = open_session(tiny_llava())
    session.run_stages(only_next=True)
    assert session.wait(120)
    points = session.staged.stages[0].points
    values = struct.unpack(f"<{len(points) // 8}d", points)
    history = session.stage_histories["align"]
    assert list(values[0::3]) == [r.step for r in history]
    assert list(values[1::3]) == [r.loss for r in history]


def test_an_event_that_does_not_belong_to_the_status_of_a_stage_changes_nothing(open_session):
    session = open_session(tiny_llava())
    before = session.staged
    with pytest.raises(WrongPhase, match="does not belong"):
        session._stages.advance("align", "keep")
    assert session.staged is before
